package swarm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/skein-train/skein/aggregator"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// BoltLog is an aggregator.Log in a bbolt file. An Append that returned nil is on the disk.
type BoltLog struct {
	db    *bbolt.DB
	mu    sync.Mutex
	grown chan struct{} // closed and replaced at every Append
}

// entries is the bucket of the entries: big-endian uint64 number → aggregator.Entry.
const entries = "entries"

// OpenBoltLog opens or creates a log. One process at a time may have it open.
func OpenBoltLog(path string) (*BoltLog, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second})
	if errors.Is(err, berrors.ErrTimeout) {
		return nil, fmt.Errorf("log %s: another process has it open: end that one first", path)
	} else if err != nil {
		return nil, fmt.Errorf("log %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte(entries))
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log %s: %w", path, err), db.Close())
	}
	return &BoltLog{db: db, grown: make(chan struct{})}, nil
}

// Append implements aggregator.Log.
func (l *BoltLog) Append(_ context.Context, i uint64, e aggregator.Entry) error {
	b := e.Encode()
	err := l.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket([]byte(entries))
		last := lastKey(bucket)
		switch {
		case i == 0 || i > last+1:
			return fmt.Errorf("log: entry %d after %d", i, last)
		case i <= last && !bytes.Equal(bucket.Get(key(i)), b):
			return aggregator.ErrTaken
		case i <= last:
			return nil
		}
		bucket.FillPercent = 1 // keys only grow: leave no room between them
		return bucket.Put(key(i), b)
	})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.grown)
	l.grown = make(chan struct{})
	return nil
}

// Read implements aggregator.Log.
func (l *BoltLog) Read(ctx context.Context, i uint64) (e aggregator.Entry, err error) {
	for {
		l.mu.Lock()
		grown := l.grown
		l.mu.Unlock()
		var b []byte
		err := l.db.View(func(tx *bbolt.Tx) error {
			b = bytes.Clone(tx.Bucket([]byte(entries)).Get(key(i)))
			return nil
		})
		if err != nil {
			return e, fmt.Errorf("log: %w", err)
		}
		if b != nil {
			return aggregator.DecodeEntry(b)
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return e, ctx.Err()
		}
	}
}

// Last implements aggregator.Log.
func (l *BoltLog) Last() (n uint64, err error) {
	err = l.db.View(func(tx *bbolt.Tx) error {
		n = lastKey(tx.Bucket([]byte(entries)))
		return nil
	})
	return n, err
}

// Close gives the file back.
func (l *BoltLog) Close() error { return l.db.Close() }

func key(i uint64) []byte { return binary.BigEndian.AppendUint64(nil, i) }

func lastKey(b *bbolt.Bucket) uint64 {
	k, _ := b.Cursor().Last()
	if len(k) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(k)
}
