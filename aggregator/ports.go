package aggregator

import (
	"context"
	"errors"
	"io"

	"github.com/skein-train/skein/gradients"
)

// Replica is one live model. Between landings Step alone moves it. One goroutine uses it.
type Replica interface {
	// Len is the number of parameters.
	Len() int
	// Begin says which data the log reserved for the inner steps that follow: step `first` (from 1) and on, the count
	// sequences of the run's data stream that start at position start.
	Begin(first, start, count uint64) error
	// Step takes one inner step and returns its training loss, mean nats per token.
	Step(ctx context.Context) (loss float64, err error)
	// Delta writes anchor − params over f, or the raw gradient of the last step if there is no inner optimizer.
	// dst and anchor are as long as f.
	Delta(dst, anchor gradients.Vec, f gradients.Fragment)
	// Read copies the parameters of f to dst, Write sets them. Both are as long as f.
	Read(dst gradients.Vec, f gradients.Fragment)
	Write(src gradients.Vec, f gradients.Fragment)
	// Class is the numeric class of the engine underneath.
	Class() uint16
	// Save returns what Load needs to continue bit by bit after the last step: parameters, moments, counters. The
	// vectors are valid until the next call of another method.
	Save() ([]gradients.Vec, []uint64)
	Load(vecs []gradients.Vec, counters []uint64) error
}

// Fallible is a Replica that computes on a device which may fail under it. After a failure what Delta, Read and Save give is
// NaN; the Worker offers none of it, and ends with Err.
type Fallible interface {
	Err() error
}

// ErrGone says that nobody has a counted payload any more. Whoever needs it is too far behind: it goes on from a newer checkpoint.
var ErrGone = errors.New("nobody has this payload any more: start from a newer checkpoint")

// Exchange is the only road between workers. The simulator and the swarm both implement it.
type Exchange interface {
	// Offer hands over this worker's contribution. It returns once the bytes are safe with this worker, not once they
	// are counted. It is idempotent per Key: if this worker offered for the Key before, in an earlier life say,
	// the bytes of then are the ones that count.
	Offer(ctx context.Context, c Contribution) error
	// Next waits for the certificate after round n, in the order that is the same for everyone. Its signatures have been
	// checked.
	Next(ctx context.Context, after Seq) (*Certificate, error)
	// Tip is the last round whose certificate is here already: Next does not wait for those up to it.
	Tip() Seq
	// Open returns a counted payload by its hash, fetching it if it is not here; what it returns has that hash. The error wraps ErrGone
	// if nobody has it.
	Open(ctx context.Context, h *SignedHeader) (io.ReadCloser, error)
	// Seal reports the root of the shared state that this worker reached after round n.
	Seal(ctx context.Context, n Seq, root Hash) error
}
