package swarm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/skein-train/skein/aggregator"
)

// depot keeps payloads on disk: rounds/<number>/<SHA-256>, whole and checked, or not at all. What is still on its way has
// a name with a dot.
type depot struct {
	dir string

	mu    sync.Mutex
	wants map[aggregator.Hash]*want
}

// want is a payload that this node needs: under way, or here.
type want struct {
	header   aggregator.SignedHeader
	seq      aggregator.Seq
	path     string
	here     chan struct{} // closed once the payload is at path
	gone     chan struct{} // closed once nobody needs it any more
	progress atomic.Uint64 // grows with every part that arrives
	finish   sync.Once
}

func openDepot(dir string) (*depot, error) {
	d := &depot{dir: filepath.Join(dir, "rounds"), wants: map[aggregator.Hash]*want{}}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("swarm: payloads: %w", err)
	}
	torn, err := filepath.Glob(filepath.Join(d.dir, "*", "*.*"))
	for _, path := range torn {
		err = errors.Join(err, os.Remove(path))
	}
	return d, err
}

func (d *depot) round(n aggregator.Seq) string {
	return filepath.Join(d.dir, strconv.FormatUint(uint64(n), 10))
}

// want registers a payload. fresh reports that it was not wanted before: the caller then sees to its arrival. A file left
// by an earlier life is checked before it is believed.
func (d *depot) want(h *aggregator.SignedHeader, n aggregator.Seq) (w *want, fresh bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wants[h.Payload]; w != nil {
		return w, false, nil
	}
	if err := os.MkdirAll(d.round(n), 0o700); err != nil {
		return nil, false, fmt.Errorf("swarm: payloads: %w", err)
	}
	w = &want{
		header: *h, seq: n, path: filepath.Join(d.round(n), h.Payload.String()),
		here: make(chan struct{}), gone: make(chan struct{}),
	}
	if sum, size, err := sumFile(w.path); err == nil && sum == h.Payload && size == h.Size {
		w.arrived()
	}
	d.wants[h.Payload] = w
	return w, true, nil
}

// lookup finds a payload that is here.
func (d *depot) lookup(h aggregator.Hash) *want {
	d.mu.Lock()
	defer d.mu.Unlock()
	if w := d.wants[h]; w != nil && w.isHere() {
		return w
	}
	return nil
}

// known finds a payload that is wanted or here.
func (d *depot) known(h aggregator.Hash) *want {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wants[h]
}

// second reports whether the worker has another contribution for the same round: only one is carried.
func (d *depot) second(h *aggregator.SignedHeader, n aggregator.Seq) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.wants {
		if w.seq == n && w.header.Worker == h.Worker && w.header.Header != h.Header {
			return true
		}
	}
	return false
}

// put writes a payload that the caller has checked. durable asks for its bytes to survive a power cut; its name is safe
// once the directory is synced, too.
func (d *depot) put(w *want, payload []byte, durable bool) error {
	if w.isHere() {
		return nil
	}
	if err := writeFile(w.path, payload, durable); err != nil {
		return fmt.Errorf("swarm: payloads: %w", err)
	}
	w.arrived()
	return nil
}

// commit moves a file that was filled piece by piece into its place, if it holds what its header says.
func (d *depot) commit(w *want, from string) error {
	sum, size, err := sumFile(from)
	switch {
	case err != nil:
		return fmt.Errorf("swarm: payloads: %w", err)
	case sum != w.header.Payload || size != w.header.Size:
		return fmt.Errorf("%w: payload %s is not what its header says", aggregator.ErrMalformed, w.header.Payload.Short())
	}
	if err := os.Rename(from, w.path); err != nil {
		return fmt.Errorf("swarm: payloads: %w", err)
	}
	w.arrived()
	return nil
}

// sweep forgets the wants that keep does not want to keep; files that are here stay.
func (d *depot) sweep(keep func(*want) bool) (dropped []*want) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for h, w := range d.wants {
		if !keep(w) {
			delete(d.wants, h)
			close(w.gone)
			dropped = append(dropped, w)
		}
	}
	return dropped
}

// prune removes the rounds before n from the disk.
func (d *depot) prune(n aggregator.Seq) error {
	d.sweep(func(w *want) bool { return w.seq >= n })
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return fmt.Errorf("swarm: payloads: %w", err)
	}
	for _, e := range entries {
		if k, notANumber := strconv.ParseUint(e.Name(), 10, 64); notANumber == nil && aggregator.Seq(k) < n {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, e.Name())))
		}
	}
	return err
}

func (w *want) arrived() { w.finish.Do(func() { close(w.here) }) }

func (w *want) isHere() bool {
	select {
	case <-w.here:
		return true
	default:
		return false
	}
}

// read returns the whole payload of a want that is here.
func (w *want) read() ([]byte, error) { return os.ReadFile(w.path) }

func sumFile(path string) (sum aggregator.Hash, size uint64, err error) {
	f, err := os.Open(path)
	if err != nil {
		return sum, 0, err
	}
	defer f.Close()
	h := sha256.New()
	n, err := io.Copy(h, f)
	return aggregator.Hash(h.Sum(nil)), uint64(n), err
}

// writeFile writes a file whole or not at all, and syncs the bytes of a durable one, but not its name.
func writeFile(path string, b []byte, durable bool) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if durable && err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
