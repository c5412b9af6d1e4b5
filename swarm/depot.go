package swarm

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

// depot keeps payloads on disk: rounds/<number>/<SHA-256>, whole and checked, or not at all. What is still on its way has
// a name with a dot.
type depot struct {
	dir string

	mu    sync.Mutex
	wants map[aggregator.Hash]*want    // by the header's hash: who names another's payload does not stand in its way
	shelf map[aggregator.Hash]*shelved // files by their payload's hash: of this life, and what earlier ones left
}

// shelved is a file on the shelf: one of an earlier life is checked before anything is read from it.
type shelved struct {
	seq   aggregator.Seq
	check sync.Once
	size  uint64
	good  bool
}

// streamSuffix ends the name of what has come over streams so far. It outlives the program.
const streamSuffix = ".stream"

// want is a payload that this node knows of: needed and under way, here, or of no use to it.
type want struct {
	id       aggregator.Hash // the header's
	header   aggregator.SignedHeader
	seq      aggregator.Seq
	path     string
	here     chan struct{} // closed once the payload is at path
	gone     chan struct{} // closed once nobody needs it any more, or nobody has it
	lost     bool          // nobody has it; set before gone is closed
	progress atomic.Uint64 // grows with every part that arrives
	need     need          // guarded by the depot
	finish   sync.Once
}

// need is how badly a payload is wanted. It only grows.
type need int

const (
	needNone    need = iota // nobody here has a use for it
	needSent                // its contribution may count, and it is being sent to everybody
	needFetched             // its contribution may count, and its author waits for a request
	needCounted             // a certificate counts it
)

func openDepot(dir string) (*depot, error) {
	d := &depot{dir: filepath.Join(dir, "rounds"), wants: map[aggregator.Hash]*want{}, shelf: map[aggregator.Hash]*shelved{}}
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return nil, fmt.Errorf("swarm: payloads: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(d.dir, "*", "*"))
	for _, path := range files {
		err = errors.Join(err, d.inherit(path))
	}
	return d, err
}

// inherit puts a file of an earlier life on the shelf, if it is a payload, and removes it if it is torn.
func (d *depot) inherit(path string) error {
	name := filepath.Base(path)
	if strings.Contains(name, ".") && filepath.Ext(name) != streamSuffix {
		return os.Remove(path)
	}
	var h aggregator.Hash
	seq, err := strconv.ParseUint(filepath.Base(filepath.Dir(path)), 10, 64)
	if err == nil && h.UnmarshalText([]byte(name)) == nil {
		d.shelf[h] = &shelved{seq: aggregator.Seq(seq)}
	}
	return nil
}

func (d *depot) round(n aggregator.Seq) string {
	return filepath.Join(d.dir, strconv.FormatUint(uint64(n), 10))
}

// want registers a payload. first reports that nobody has seen to its arrival so far, and that somebody has to: the caller then does. A file left
// by an earlier life is checked before it is believed.
func (d *depot) want(h *aggregator.SignedHeader, n aggregator.Seq, need need) (w *want, first bool, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w = d.wants[h.Hash()]
	if w == nil {
		if w, err = d.register(h, n); err != nil {
			return nil, false, err
		}
	}
	first = need > needNone && w.need == needNone
	w.need = max(w.need, need)
	return w, first, nil
}

// register makes a want. The caller holds the lock.
func (d *depot) register(h *aggregator.SignedHeader, n aggregator.Seq) (*want, error) {
	if err := os.MkdirAll(d.round(n), 0o700); err != nil {
		return nil, fmt.Errorf("swarm: payloads: %w", err)
	}
	w := &want{
		id: h.Hash(), header: *h, seq: n, path: filepath.Join(d.round(n), h.Payload.String()),
		here: make(chan struct{}), gone: make(chan struct{}),
	}
	if sum, size, err := sumFile(w.path); err == nil && sum == h.Payload && size == h.Size {
		d.shelve(w)
	}
	d.wants[w.id] = w
	return w, nil
}

// shelve notes that a payload is whole and in its place. The caller holds the lock.
func (d *depot) shelve(w *want) {
	b := &shelved{seq: w.seq, size: w.header.Size, good: true}
	b.check.Do(func() {})
	if old := d.shelf[w.header.Payload]; old == nil || old.seq <= w.seq {
		d.shelf[w.header.Payload] = b
	}
	w.arrived()
}

// arrived is shelve for who does not hold the lock.
func (d *depot) arrived(w *want) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.shelve(w)
}

// find tells where a payload lies, of this life or an earlier one, and how many bytes it has.
func (d *depot) find(h aggregator.Hash) (path string, size uint64, ok bool) {
	d.mu.Lock()
	b := d.shelf[h]
	d.mu.Unlock()
	if b == nil {
		return "", 0, false
	}
	path = filepath.Join(d.round(b.seq), h.String())
	b.check.Do(func() {
		sum, n, err := sumFile(path)
		b.size, b.good = n, err == nil && sum == h
	})
	return path, b.size, b.good
}

// known finds the want of a contribution.
func (d *depot) known(h *aggregator.SignedHeader) *want {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.wants[h.Hash()]
}

// naming lists the wants that name a payload: its author's, and those of whoever copies.
func (d *depot) naming(payload aggregator.Hash) (out []*want) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.wants {
		if w.header.Payload == payload {
			out = append(out, w)
		}
	}
	return out
}

// count notes which payloads a certificate counts. What nobody read before nobody reads now.
func (d *depot) count(c *aggregator.Certificate) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range c.List {
		if w := d.wants[c.List[i].Hash()]; w != nil && w.need > needNone {
			w.need = needCounted
		}
	}
}

// counts says whether a certificate counts a payload.
func (d *depot) counts(w *want) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return w.need == needCounted
}

// of lists what is wanted of a round, or here.
func (d *depot) of(n aggregator.Seq) (out []*want) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, w := range d.wants {
		if w.seq == n {
			out = append(out, w)
		}
	}
	return out
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

// put writes a payload that the caller has checked.
func (d *depot) put(w *want, payload []byte, sync durable.Sync) error {
	if w.isHere() {
		return nil
	}
	if err := durable.WriteFile(w.path, 0o600, sync, payload); err != nil {
		return fmt.Errorf("swarm: payloads: %w", err)
	}
	d.arrived(w)
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
	d.arrived(w)
	return nil
}

// sweep forgets the wants that keep does not want to keep; files that are here stay.
func (d *depot) sweep(keep func(*want) bool) []*want {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.drop(keep)
}

// drop is sweep for who holds the lock.
func (d *depot) drop(keep func(*want) bool) (dropped []*want) {
	for h, w := range d.wants {
		if !keep(w) {
			delete(d.wants, h)
			close(w.gone)
			dropped = append(dropped, w)
		}
	}
	return dropped
}

// abandon gives up a payload that nobody has. A later want for it starts afresh.
func (d *depot) abandon(w *want) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.wants[w.id] == w {
		delete(d.wants, w.id)
		w.lost = true
		close(w.gone)
	}
}

// rounds lists the rounds of which there may be something on disk.
func (d *depot) rounds() (out []aggregator.Seq) {
	entries, _ := os.ReadDir(d.dir)
	for _, e := range entries {
		if n, err := strconv.ParseUint(e.Name(), 10, 64); err == nil {
			out = append(out, aggregator.Seq(n))
		}
	}
	return out
}

// prune removes the rounds before n from the disk, and their wants first: a want that is not gone has its folder.
func (d *depot) prune(n aggregator.Seq) (dropped []*want, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	dropped = d.drop(func(w *want) bool { return w.seq >= n })
	maps.DeleteFunc(d.shelf, func(_ aggregator.Hash, b *shelved) bool { return b.seq < n })
	entries, err := os.ReadDir(d.dir)
	if err != nil {
		return dropped, fmt.Errorf("swarm: payloads: %w", err)
	}
	for _, e := range entries {
		if k, notANumber := strconv.ParseUint(e.Name(), 10, 64); notANumber == nil && aggregator.Seq(k) < n {
			err = errors.Join(err, os.RemoveAll(filepath.Join(d.dir, e.Name())))
		}
	}
	return dropped, err
}

// pruned says whether an error is no more than that the round was pruned meanwhile, and its files with it.
func (w *want) pruned(err error) bool {
	select {
	case <-w.gone:
		return errors.Is(err, fs.ErrNotExist)
	default:
		return false
	}
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

// way names the file in which the payload gathers on its way.
func (w *want) way(suffix string) string {
	return filepath.Join(filepath.Dir(w.path), w.id.String()+suffix)
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
