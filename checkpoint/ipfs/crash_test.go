package ipfs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

// failing is a datastore whose writes fail once a number of them have gone through.
type failing struct {
	datastore.Batching
	left    atomic.Int64
	deletes bool // whether deleting fails too
	err     error
}

func (f *failing) Put(ctx context.Context, k datastore.Key, v []byte) error {
	if f.left.Add(-1) < 0 {
		return f.err
	}
	return f.Batching.Put(ctx, k, v)
}

func (f *failing) Delete(ctx context.Context, k datastore.Key) error {
	if f.deletes && f.left.Add(-1) < 0 {
		return f.err
	}
	return f.Batching.Delete(ctx, k)
}

func (f *failing) Batch(context.Context) (datastore.Batch, error) {
	return datastore.NewBasicBatch(f), nil
}

func overData(t *testing.T, d datastore.Batching) *Store {
	t.Helper()
	s, err := over(t.Context(), d, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// turn is what a new checkpoint does to a store: pin the new one, let go of the old one, collect.
func turn(ctx context.Context, s *Store) error {
	if _, err := s.Add(ctx, "new", storetest.Files(map[string]string{
		"common": storetest.Random(1, 1<<20), "own": storetest.Random(3, 600<<10),
	})); err != nil {
		return err
	}
	pins, err := s.Pins(ctx)
	if err != nil {
		return err
	}
	for _, p := range pins {
		if p.Name == "old" {
			if err := s.Unpin(ctx, p.CID); err != nil {
				return err
			}
		}
	}
	_, err = s.Collect(ctx)
	return err
}

func seeded(t *testing.T) datastore.Batching {
	t.Helper()
	d := dssync.MutexWrap(datastore.NewMapDatastore())
	if _, err := overData(t, d).Add(t.Context(), "old", storetest.Files(map[string]string{
		"common": storetest.Random(1, 1<<20), "own": storetest.Random(2, 600<<10),
	})); err != nil {
		t.Fatal(err)
	}
	return d
}

// healthy wants a pinned checkpoint, every pinned one whole, and the same end as without the failure.
func healthy(t *testing.T, at int64, s *Store, want checkpoint.Usage) {
	t.Helper()
	pins, err := s.Pins(t.Context())
	if err != nil || len(pins) == 0 {
		t.Fatalf("failure at write %d: pins %v, error %v", at, pins, err)
	}
	for _, p := range pins {
		if _, err := s.Verify(t.Context(), p.CID); err != nil {
			t.Fatalf("failure at write %d: pin %s: %v", at, p.Name, err)
		}
	}
	if err := turn(t.Context(), s); err != nil {
		t.Fatalf("failure at write %d: going on: %v", at, err)
	}
	got, err := s.Usage(t.Context())
	if err != nil || got != want {
		t.Fatalf("failure at write %d: the store holds %+v at the end, want %+v (%v)", at, got, want, err)
	}
}

func usageAfterTurn(t *testing.T) checkpoint.Usage {
	s := overData(t, seeded(t))
	if err := turn(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	u, err := s.Usage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func TestACrashAtAnyWriteLosesNothing(t *testing.T) {
	want := usageAfterTurn(t)
	for at := int64(0); ; at++ {
		d := seeded(t)
		f := &failing{Batching: d, deletes: true, err: errors.New("crash")}
		s := overData(t, f)
		f.left.Store(at)
		err := turn(t.Context(), s)
		healthy(t, at, overData(t, d), want)
		if err == nil && f.left.Load() >= 0 {
			if at < 20 {
				t.Fatalf("only %d writes were tried", at)
			}
			return
		}
	}
}

func TestAFullDiskLosesNothing(t *testing.T) {
	want := usageAfterTurn(t)
	for at := int64(0); ; at++ {
		f := &failing{Batching: seeded(t), err: &os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}}
		s := overData(t, f)
		f.left.Store(at)
		err := turn(t.Context(), s)
		if err == nil && f.left.Load() >= 0 {
			return
		}
		if err != nil && (!errors.Is(err, checkpoint.ErrDiskFull) || !strings.Contains(err.Error(), "checkpoint.keep")) {
			t.Fatalf("write %d: error %v", at, err)
		}
		if _, err := s.Collect(t.Context()); err != nil {
			t.Fatalf("write %d: collecting on a full disk: %v", at, err)
		}
		f.left.Store(1 << 40) // room again
		healthy(t, at, s, want)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	dir := t.TempDir()
	s := openDisk(t, dir, Options{})
	if _, err := Open(t.Context(), dir, Options{}); !errors.Is(err, checkpoint.ErrInUse) {
		t.Fatalf("error %v, want ErrInUse", err)
	}
	if _, err := s.Add(t.Context(), "a", storetest.Files(map[string]string{"f": "x"})); err != nil {
		t.Errorf("the attempt disturbed the store: %v", err)
	}
}

func TestAStoreComesBackFromDisk(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blocks.new", "left", "by", "a", "crash"), 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	id, err := s.Add(t.Context(), "a", storetest.Files(map[string]string{"f": storetest.Random(1, 1<<20)}))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDisk(t, dir, Options{NoSync: true})
	if pins, err := s.Pins(t.Context()); err != nil || len(pins) != 1 || pins[0].CID != id {
		t.Fatalf("pins %v, error %v", pins, err)
	}
	if _, err := s.Verify(t.Context(), id); err != nil {
		t.Fatal(err)
	}
}
