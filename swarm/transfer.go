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
	lanes   lanes // of all transfers together
	holders map[peer.ID]bitmap
	copies  []int           // of each part, among the holders
	slow    map[peer.ID]int // requests that timed out
}

// lanes are what is under way from each peer.
type lanes map[peer.ID]*lane

// lane is one peer as a source. It is asked for as many parts at a time as it answers without making them wait: enough to keep a long road
// busy, and few on a crowded one, where a part in the peer's queue could come sooner from somebody who has got it meanwhile.
type lane struct {
	open, window int
	quickest     time.Duration // answer so far
}

const (
	leastWindow = 2
	mostWindow  = 16
	queueing    = 300 * time.Millisecond // that an answer may take beyond the quickest
)

// to is the lane of a peer.
func (l lanes) to(p peer.ID) *lane {
	if l[p] == nil {
		l[p] = &lane{window: leastWindow}
	}
	return l[p]
}

// ask begins a request. After a pause the road may be another one.
func (l *lane) ask() {
	if l.open == 0 {
		l.window = leastWindow
	}
	l.open++
}

// free says whether the peer may be asked for one more part.
func (l *lane) free() bool { return l.open < l.window }

// answered ends a request that took so long.
func (l *lane) answered(took time.Duration) {
	if l.quickest == 0 || took < l.quickest {
		l.quickest = took
	}
	if took <= l.quickest+queueing {
		l.window = min(l.window+1, mostWindow)
	} else {
		l.window = leastWindow
	}
}

type asked struct {
	of peer.ID
	at time.Time
}

// newTransfer opens a payload for exchange: all of it if it is here, none of it otherwise.
func newTransfer(w *want, l *partsList, all lanes) (*transfer, error) {
	n := len(l.hashes)
	t := &transfer{
		w: w, list: l, have: newBitmap(n), missing: n,
		asked: map[int]asked{}, lanes: all, holders: map[peer.ID]bitmap{}, copies: make([]int, n), slow: map[peer.ID]int{},
	}
	if w.isHere() {
		return t, t.complete()
	}
	var err error
	t.file, err = os.OpenFile(t.path(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	return t, err
}

// path is where parts are gathered.
func (t *transfer) path() string { return t.w.way(".parts") }

// complete switches to the file in its final place.
func (t *transfer) complete() (err error) {
	n := len(t.list.hashes)
	t.have, t.missing = full(n), 0
	t.release()
	t.file, err = os.Open(t.w.path)
	return err
}

func (t *transfer) close() {
	t.release()
	if t.file != nil {
		_ = t.file.Close()
	}
	_ = os.Remove(t.path())
}

// put keeps a part that a peer sent. Parts are not signed: each must have the hash that the list names.
func (t *transfer) put(from peer.ID, i int, part []byte, now time.Time) (fresh bool, err error) {
	if a, ok := t.asked[i]; ok && a.of == from {
		t.lanes.to(from).answered(now.Sub(a.at))
		t.settle(i, from)
	}
	if t.have.has(i) {
		return false, nil
	}
	if off, n := t.list.bounds(i); len(part) != n || sha256.Sum256(part) != t.list.hashes[i] {
		return false, malformed("part %d of %s is not what the list says", i, t.w.header.Payload.Short())
	} else if _, err := t.file.WriteAt(part, off); err != nil {
		return false, err
	}
	if a, ok := t.asked[i]; ok { // of somebody else
		t.settle(i, a.of)
	}
	t.have.add(i)
	t.missing--
	t.w.progress.Add(1)
	return true, nil
}

// settle ends the request for part i, if it was made of that peer.
func (t *transfer) settle(i int, from peer.ID) {
	if a, ok := t.asked[i]; ok && a.of == from {
		delete(t.asked, i)
		t.lanes.to(from).open--
	}
}

// release ends all requests.
func (t *transfer) release() {
	for i, a := range t.asked {
		t.settle(i, a.of)
	}
}

// hear notes which parts a peer has; nil: none that matter, it is gone.
func (t *transfer) hear(p peer.ID, has bitmap) {
	before := t.holders[p]
	for i := range t.copies {
		if before != nil && before.has(i) {
			t.copies[i]--
		}
		if has != nil && has.has(i) {
			t.copies[i]++
		}
	}
	if t.holders[p] = has; has == nil {
		delete(t.holders, p)
	}
}

// get reads a part that is here.
func (t *transfer) get(i int) ([]byte, error) {
	off, n := t.list.bounds(i)
	b := make([]byte, n)
	_, err := t.file.ReadAt(b, off)
	return b, err
}

// rarest is the part to ask of a peer next: of those that it has, one that the fewest have. What many have can still come from anybody
// when this peer is busy. Every pair of peers starts its search elsewhere, so that the receivers soon have something for each other.
func (t *transfer) rarest(p, self peer.ID) (part int, ok bool) {
	has, n := t.holders[p], len(t.list.hashes)
	if has == nil || t.missing == 0 {
		return 0, false
	}
	start := (int(p[len(p)-1])*251 + int(self[len(self)-1])*7) % n
	for k := range n {
		i := (start + k) % n
		if _, under := t.asked[i]; !under && !t.have.has(i) && has.has(i) && (!ok || t.copies[i] < t.copies[part]) {
			part, ok = i, true
		}
	}
	return part, ok
}

// ask notes that a part is asked of a peer.
func (t *transfer) ask(part int, p peer.ID, now time.Time) {
	t.asked[part] = asked{p, now}
	t.lanes.to(p).ask()
}

// sooner reports whether part i of t is to be asked for before part k of u: earlier rounds first, then what is rarer.
func (t *transfer) sooner(i int, u *transfer, k int) bool {
	if t.w.seq != u.w.seq {
		return t.w.seq < u.w.seq
	}
	return t.copies[i] < u.copies[k]
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
				t.hear(a.of, nil)
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
