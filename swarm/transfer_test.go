package swarm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/skein-train/skein/aggregator"
	"pgregory.net/rapid"
)

// parted is a payload of size bytes, its parts list and an empty transfer of it.
func parted(t testing.TB, dir string, size int) ([]byte, *partsList, *transfer, *depot) {
	t.Helper()
	payload := make([]byte, size)
	for i := range payload {
		payload[i] = byte(i * 7 >> 3)
	}
	s := aggregator.NewSigner(seed(1))
	h := s.SignHeader(aggregator.Header{Payload: sha256.Sum256(payload), Size: uint64(size)})
	l, err := listParts(s, h, bytes.NewReader(payload))
	if err != nil {
		t.Fatal(err)
	}
	d, err := openDepot(dir)
	if err != nil {
		t.Fatal(err)
	}
	w, _, err := d.want(&h, 1, needSent)
	if err != nil {
		t.Fatal(err)
	}
	x, err := newTransfer(w, l, lanes{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(x.close)
	return payload, l, x, d
}

func (l *partsList) cut(payload []byte, i int) []byte {
	off, n := l.bounds(i)
	return payload[off : off+int64(n)]
}

// Whatever peers have and however requests are lost: no part is asked of two peers at once, no peer is asked for more than
// the window, no bad part is kept, and once everything arrived the payload is whole.
func TestTransfer(t *testing.T) {
	base := t.TempDir()
	run := 0
	rapid.Check(t, func(r *rapid.T) {
		run++
		payload, l, x, d := parted(t, filepath.Join(base, string(rune('a'+run%26)), time.Now().Format("150405.000000000")),
			rapid.IntRange(inlineLimit+1, 5*partSize).Draw(r, "size"))
		n, now := len(l.hashes), time.Unix(0, 0)
		peers := []peer.ID{"one", "two", "three"}
		for _, p := range peers {
			x.hear(p, full(n))
		}
		for x.missing > 0 {
			now = now.Add(time.Duration(rapid.IntRange(1, 1000).Draw(r, "ms")) * time.Millisecond)
			p := rapid.SampledFrom(peers).Draw(r, "peer")
			for x.lanes.to(p).free() {
				i, ok := x.rarest(p, "self")
				if !ok {
					break
				}
				x.ask(i, p, now)
				switch rapid.IntRange(0, 3).Draw(r, "fate") {
				case 0: // lost
				case 1:
					if fresh, err := x.put(p, i, []byte("bad"), now); fresh || !errors.Is(err, aggregator.ErrMalformed) {
						r.Fatalf("a bad part: %v, %v", fresh, err)
					}
				default:
					if fresh, err := x.put(p, i, l.cut(payload, i), now); !fresh || err != nil {
						r.Fatalf("a good part: %v, %v", fresh, err)
					}
				}
			}
			under := map[peer.ID]int{}
			for i, a := range x.asked {
				if under[a.of]++; x.have.has(i) {
					r.Fatalf("part %d is asked for, and here", i)
				}
			}
			for p, l := range x.lanes {
				if l.open != under[p] || l.open > mostWindow || l.window < leastWindow || l.window > mostWindow {
					r.Fatalf("%d parts under way from %s, noted %+v", under[p], p, *l)
				}
			}
			x.expire(now, 2*time.Second, func(p peer.ID) bool { return p != "three" || now.Unix()%7 != 0 })
			x.hear("three", full(n))
			for i, k := range x.copies {
				if k != len(x.holders) {
					r.Fatalf("%d copies of part %d at %d holders of all", k, i, len(x.holders))
				}
			}
		}
		if err := x.finish(d); err != nil {
			r.Fatal(err)
		}
		if got, err := x.w.read(); err != nil || !bytes.Equal(got, payload) {
			r.Fatalf("%d bytes on disk, %v", len(got), err)
		}
		if part, err := x.get(n - 1); err != nil || !bytes.Equal(part, l.cut(payload, n-1)) {
			r.Fatalf("the last part reads as %d bytes, %v", len(part), err)
		}
	})
}

// A parts list that contradicts its own header is found out at the end, and nothing is kept.
func TestContradictingListIsRefused(t *testing.T) {
	payload, l, x, d := parted(t, t.TempDir(), 2*partSize)
	x.w.header.Payload[0]++
	for i := range l.hashes {
		if _, err := x.put("one", i, l.cut(payload, i), time.Unix(0, 0)); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.finish(d); !errors.Is(err, aggregator.ErrMalformed) || x.w.isHere() {
		t.Errorf("finished with %v, here: %v", err, x.w.isHere())
	}
}

// Parts that nobody asked for do not get past gossipsub's event loop, and malformed messages are held against their sender.
func TestUnaskedPartsAreDropped(t *testing.T) {
	w := newWorld(t, 0, 1, 1000)
	x, states := w.home.parts, map[peer.ID]nothing{}
	topic, group := topicParts, bytes.Repeat([]byte{1}, 32)
	in := func(rpc *pb.PartialMessagesExtension) { _ = x.incoming("evil", states, rpc) }
	in(&pb.PartialMessagesExtension{TopicID: &topic, GroupID: group, PartialMessage: make([]byte, 4+partSize)})
	if len(states) != 0 || w.home.guard.count("evil") != 0 {
		t.Error("an unasked part was taken")
	}
	wrong := "other"
	for _, rpc := range []*pb.PartialMessagesExtension{
		{TopicID: &wrong, GroupID: group},
		{TopicID: &topic, GroupID: group[:5]},
		{TopicID: &topic, GroupID: group, PartsMetadata: make([]byte, maxMeta+1)},
		{TopicID: &topic, GroupID: group, PartialMessage: make([]byte, 4+partSize+1)},
		{TopicID: &topic, GroupID: group, PartialMessage: []byte{0, 0, 0}},
		{TopicID: &topic, GroupID: group, PartialMessage: []byte{255, 255, 255, 255, 0}},
	} {
		before := w.home.guard.count("evil")
		in(rpc)
		if w.home.guard.count("evil") != before+1 {
			t.Errorf("a malformed message went unnoticed: %v", rpc)
		}
	}
}

// Parts are a sixteenth of their payload or so, within limits, and cover it.
func TestCut(t *testing.T) {
	for size, want := range map[uint64]uint64{inlineLimit + 1: 16 << 10, 256 << 10: 16 << 10, 256<<10 + 1: 32 << 10, 1 << 20: 64 << 10, 1<<20 + 1: 128 << 10, 1 << 30: 256 << 10} {
		if got := cutOf(size); got != want {
			t.Errorf("%d bytes are cut into %d, want %d", size, got, want)
		}
	}
	if n := partCount(maxParts * partSize); n != maxParts {
		t.Errorf("the largest payload has %d parts", n)
	}
}

// A peer that answers at once is asked for more at a time, until parts wait in its queue.
func TestLane(t *testing.T) {
	l := lanes{}.to("one")
	for range 100 {
		for l.free() {
			l.ask()
		}
		l.answered(50 * time.Millisecond)
		l.open--
	}
	if l.window != mostWindow || l.open != mostWindow-1 {
		t.Errorf("a prompt peer: %+v", *l)
	}
	if l.answered(50*time.Millisecond + queueing); l.window != mostWindow {
		t.Errorf("within what is prompt: %+v", *l)
	}
	if l.answered(51*time.Millisecond + queueing); l.window != leastWindow || l.free() {
		t.Errorf("a peer with a queue: %+v", *l)
	}
	for l.open = 0; l.window < 5; {
		l.answered(0)
	}
	if l.ask(); l.window != leastWindow {
		t.Errorf("after a pause: %+v", *l)
	}
}

// Of what a peer has it is asked for the earlier round first, then for what others have not.
func TestRarestFirst(t *testing.T) {
	_, l, x, _ := parted(t, t.TempDir(), 4*partSize)
	n := len(l.hashes)
	x.hear("one", full(n))
	some := full(n)
	some[0] &^= 1 << 3
	x.hear("two", some)
	if i, ok := x.rarest("one", "self"); !ok || i != 3 {
		t.Errorf("part %d, %v", i, ok)
	}
	x.ask(3, "one", time.Unix(0, 0))
	if i, ok := x.rarest("one", "self"); !ok || i == 3 {
		t.Errorf("part %d again, %v", i, ok)
	}
	if _, ok := x.rarest("three", "self"); ok {
		t.Error("a part of a peer that has none")
	}
	_, _, later, _ := parted(t, t.TempDir(), 4*partSize)
	later.w.seq = x.w.seq + 1
	if !x.sooner(0, later, 0) || later.sooner(0, x, 3) {
		t.Error("a later round goes first")
	}
	if !x.sooner(3, x, 0) || x.sooner(0, x, 3) {
		t.Error("what many have goes first")
	}
}

func TestAgain(t *testing.T) {
	var at []int
	for tick := range 33 {
		if again(tick) {
			at = append(at, tick)
		}
	}
	if !slices.Equal(at, []int{1, 2, 4, 8, 16, 24, 32}) {
		t.Errorf("published again at ticks %v", at)
	}
}
