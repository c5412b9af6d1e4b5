package swarm

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"path/filepath"
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
	x, err := newTransfer(w, l)
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
			x.holders[p] = full(n)
		}
		for x.missing > 0 {
			now = now.Add(time.Second)
			p := rapid.SampledFrom(peers).Draw(r, "peer")
			for _, i := range x.wants(p, "self", now) {
				switch rapid.IntRange(0, 3).Draw(r, "fate") {
				case 0: // lost
				case 1:
					if fresh, err := x.put(p, i, []byte("bad")); fresh || !errors.Is(err, aggregator.ErrMalformed) {
						r.Fatalf("a bad part: %v, %v", fresh, err)
					}
				default:
					if fresh, err := x.put(p, i, l.cut(payload, i)); !fresh || err != nil {
						r.Fatalf("a good part: %v, %v", fresh, err)
					}
				}
			}
			under := map[peer.ID]int{}
			for i, a := range x.asked {
				if under[a.of]++; x.have.has(i) || under[a.of] > window || x.open[a.of] < under[a.of] {
					r.Fatalf("part %d asked of %s: have %v, %d under way, %d noted", i, a.of, x.have.has(i), under[a.of], x.open[a.of])
				}
			}
			x.expire(now, 2*time.Second, func(p peer.ID) bool { return p != "three" || now.Unix()%7 != 0 })
			x.holders["three"] = full(n)
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
		if _, err := x.put("one", i, l.cut(payload, i)); err != nil {
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
