package swarm

import (
	"bytes"
	"crypto/sha256"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// transfer is one payload in parts: what is here, what was asked of whom, and who has what. It decides and does not send.
type transfer struct {
	w       *want
	list    *partsList
	have    bitmap
	missing int
	file    *os.File
	asked   map[int]asked
	open    map[peer.ID]int // requests under way
	holders map[peer.ID]bitmap
	slow    map[peer.ID]int // requests that timed out
}

type asked struct {
	of peer.ID
	at time.Time
}

// window is how many parts of one payload are asked of one peer at a time: enough to keep a road busy, few enough that
// window × authors stays far below gossipsub's outbound queue.
const window = 2

// newTransfer opens a payload for exchange: all of it if it is here, none of it otherwise.
func newTransfer(w *want, l *partsList) (*transfer, error) {
	n := len(l.hashes)
	t := &transfer{
		w: w, list: l, have: newBitmap(n), missing: n,
		asked: map[int]asked{}, open: map[peer.ID]int{}, holders: map[peer.ID]bitmap{}, slow: map[peer.ID]int{},
	}
	if w.isHere() {
		return t, t.complete()
	}
	var err error
	t.file, err = os.OpenFile(t.path(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return t, err
}

// path is where parts are gathered.
func (t *transfer) path() string { return t.w.path + ".parts" }

// complete switches to the file in its final place.
func (t *transfer) complete() (err error) {
	n := len(t.list.hashes)
	t.have, t.missing = full(n), 0
	t.asked, t.open = map[int]asked{}, map[peer.ID]int{}
	t.file, err = os.Open(t.w.path)
	return err
}

func (t *transfer) close() {
	if t.file != nil {
		_ = t.file.Close()
	}
	_ = os.Remove(t.path())
}

// put keeps a part that a peer sent. Parts are not signed: each must have the hash that the list names.
func (t *transfer) put(from peer.ID, i int, part []byte) (fresh bool, err error) {
	t.settle(i, from)
	if t.have.has(i) {
		return false, nil
	}
	if off, n := t.list.bounds(i); len(part) != n || sha256.Sum256(part) != t.list.hashes[i] {
		return false, malformed("part %d of %s is not what the list says", i, t.w.header.Payload.Short())
	} else if _, err := t.file.WriteAt(part, off); err != nil {
		return false, err
	}
	delete(t.asked, i)
	t.have.add(i)
	t.missing--
	t.w.progress.Add(1)
	return true, nil
}

// settle ends the request for part i, if it was made of that peer.
func (t *transfer) settle(i int, from peer.ID) {
	if a, ok := t.asked[i]; ok && a.of == from {
		delete(t.asked, i)
		t.open[from]--
	}
}

// get reads a part that is here.
func (t *transfer) get(i int) ([]byte, error) {
	off, n := t.list.bounds(i)
	b := make([]byte, n)
	_, err := t.file.ReadAt(b, off)
	return b, err
}

// wants picks the parts to ask of a peer now, and notes that they were asked. Every pair of peers starts at another part,
// so that the holders share the work and the receivers soon have something for each other.
func (t *transfer) wants(p, self peer.ID, now time.Time) (out []int) {
	has, n := t.holders[p], len(t.list.hashes)
	if has == nil || t.missing == 0 {
		return nil
	}
	start := (int(p[len(p)-1])*251 + int(self[len(self)-1])*7) % n
	for k := 0; k < n && t.open[p] < window; k++ {
		i := (start + k) % n
		if _, under := t.asked[i]; under || t.have.has(i) || !has.has(i) {
			continue
		}
		t.asked[i] = asked{p, now}
		t.open[p]++
		out = append(out, i)
	}
	return out
}

// expire takes back requests that were not answered in time, or whose peer has gone. A peer that was too slow gets
// twice as long the next time: on a thin road a second copy would make things worse.
func (t *transfer) expire(now time.Time, patience time.Duration, connected func(peer.ID) bool) {
	late := map[peer.ID]bool{}
	for i, a := range t.asked {
		gone := !connected(a.of)
		if gone || now.Sub(a.at) > patience<<min(t.slow[a.of], 3) {
			t.settle(i, a.of)
			late[a.of] = !gone
			if gone {
				delete(t.holders, a.of)
			}
		}
	}
	for p, slow := range late {
		if slow {
			t.slow[p]++
		}
	}
}

// finish checks the gathered payload as a whole and moves it into its place.
func (t *transfer) finish(d *depot) error {
	if err := t.file.Close(); err != nil {
		return err
	}
	t.file = nil
	if err := d.commit(t.w, t.path()); err != nil {
		return err
	}
	return t.complete()
}

// needless reports whether there is nothing to tell anybody: no part is here, or all of n peers have them all.
func (t *transfer) needless(n int) bool {
	if len(t.have) == 0 || t.missing == len(t.list.hashes) {
		return true
	}
	done := 0
	for _, has := range t.holders {
		if bytes.Equal(has, full(len(t.list.hashes))) {
			done++
		}
	}
	return t.missing == 0 && done >= n
}
