package aggregator

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Entry is one entry of the committee's log: a decision, or the certificate that finishes it. Exactly one is set.
type Entry struct {
	Decide *Body
	Final  *Certificate
}

// ErrTaken says that another entry was there first.
var ErrTaken = errors.New("another entry was first")

// Log orders what the committee proposes. It is order, never proof: what counts is the signatures on a certificate.
type Log interface {
	// Append adds an entry as number i, counting from 1, and returns once it is durable. If the place is taken by
	// an equal entry it returns nil, by another one ErrTaken: the first wins.
	Append(ctx context.Context, i uint64, e Entry) error
	// Read returns entry i, waiting until there is one.
	Read(ctx context.Context, i uint64) (Entry, error)
	// Last is the number of entries at the moment.
	Last() (uint64, error)
}

// Encode returns the entry's bytes: a byte 'D' and a certificate without signatures, or 'F' and a whole one.
func (e Entry) Encode() []byte {
	if e.Final != nil {
		return append([]byte{'F'}, e.Final.Encode()...)
	}
	return append([]byte{'D'}, (&Certificate{Body: *e.Decide}).Encode()...)
}

// DecodeEntry reads what Encode wrote.
func DecodeEntry(b []byte) (Entry, error) {
	if len(b) == 0 {
		return Entry{}, fmt.Errorf("%w: empty log entry", ErrMalformed)
	}
	c, err := DecodeCertificate(b[1:])
	if err != nil {
		return Entry{}, err
	}
	switch {
	case b[0] == 'D' && len(c.Signatures) == 0:
		return Entry{Decide: &c.Body}, nil
	case b[0] == 'F':
		return Entry{Final: &c}, nil
	}
	return Entry{}, fmt.Errorf("%w: log entry of kind %q", ErrMalformed, b[0])
}

// MemoryLog is a Log in memory, for tests and simulations.
type MemoryLog struct {
	mu      sync.Mutex
	entries [][]byte
	grown   chan struct{} // closed and replaced at every Append
}

// NewMemoryLog returns an empty MemoryLog.
func NewMemoryLog() *MemoryLog { return &MemoryLog{grown: make(chan struct{})} }

// Append implements Log.
func (l *MemoryLog) Append(_ context.Context, i uint64, e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := e.Encode()
	switch {
	case i == 0 || i > uint64(len(l.entries))+1:
		return fmt.Errorf("log: entry %d after %d", i, len(l.entries))
	case i <= uint64(len(l.entries)):
		if string(l.entries[i-1]) != string(b) {
			return ErrTaken
		}
		return nil
	}
	l.entries = append(l.entries, b)
	close(l.grown)
	l.grown = make(chan struct{})
	return nil
}

// Read implements Log.
func (l *MemoryLog) Read(ctx context.Context, i uint64) (Entry, error) {
	for {
		l.mu.Lock()
		grown := l.grown
		if i >= 1 && i <= uint64(len(l.entries)) {
			defer l.mu.Unlock()
			return DecodeEntry(l.entries[i-1])
		}
		l.mu.Unlock()
		select {
		case <-grown:
		case <-ctx.Done():
			return Entry{}, ctx.Err()
		}
	}
}

// Last implements Log.
func (l *MemoryLog) Last() (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return uint64(len(l.entries)), nil
}
