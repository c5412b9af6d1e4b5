package gradients

import "errors"

// Key names one departure: the fragment that left and the inner step after which it left.
type Key struct {
	Fragment  int
	Departure uint64
}

// ErrCorrupt is wrapped by every error about bytes that are no valid payload.
var ErrCorrupt = errors.New("corrupt payload")

// Codec is the lossy gate to the wire. One is built for one (Layout, Fragment) and may be used by one goroutine at a time.
type Codec interface {
	// Name is the codec's name in the run file, e.g. "int8".
	Name() string
	// Slots is the number of private vectors, as long as the fragment and zero at first, that the encoder keeps
	// between calls (low-rank factors, say). They are owned by the caller and saved in its snapshot.
	Slots() int
	// Append encodes v (as long as the fragment) behind dst and returns the longer slice. It may overwrite st, never v.
	Append(dst []byte, k Key, v Vec, st []Vec) []byte
	// Check is a cheap look at hostile bytes: sizes, ranges, order. What it passes, Sum.Add may still refuse.
	Check(src []byte) error
	// MaxSize is the largest payload in bytes that a valid encoder can produce: the bound to enforce before allocating.
	MaxSize() int
	// NewSum returns an empty sum of payloads.
	NewSum() Sum
}

// Sum adds payloads in their own domain (sparse, counts, coefficients), one at a time, in the order of the calls.
type Sum interface {
	// Add adds weight times the payload. The bytes are hostile: it never panics, its allocation is bounded by the
	// fragment, non-finite values are refused, and on error the sum is as before.
	Add(weight float32, src []byte) error
	// Mean writes the weighted mean of what was added to dst (as long as the fragment); zeros if nothing was.
	Mean(dst Vec)
}
