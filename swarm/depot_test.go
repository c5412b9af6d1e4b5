package swarm

import (
	"bytes"
	"crypto/sha256"
	"os"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

// Whoever is still at a payload when its round is pruned finds its folder gone: that is no error of the disk. A folder that goes by itself is one.
func TestPrunedUnderOnesHands(t *testing.T) {
	payload := bytes.Repeat([]byte("skein"), 2*inlineLimit/5)
	put := func(n *Node, w *want, _ *partsList) {
		if err := n.depot.put(w, payload, durable.Crash); err != nil {
			n.spoiled(w, err)
		}
	}
	idle := func(*Node, *want, *partsList) {}
	settle := func(n *Node) {
		done := make(chan struct{})
		n.parts.do(func() { n.parts.tick(time.Now()); close(done) })
		<-done
	}
	cases := map[string]struct {
		before, after func(*Node, *want, *partsList)
	}{
		"a stream was faster than the parts": {before: put, after: func(n *Node, _ *want, _ *partsList) { settle(n) }},
		"the parts begin": {before: idle, after: func(n *Node, w *want, l *partsList) {
			n.parts.do(func() { n.parts.forget(w.id) })
			n.parts.pull(w, l)
			settle(n)
		}},
		"a stream begins": {before: idle, after: func(n *Node, w *want, _ *partsList) {
			_, _, _ = n.fetchFrom(n.ctx, n.host.ID(), w, w.way(streamSuffix))
		}},
		"the payload comes inline": {before: idle, after: put},
	}
	for name, c := range cases {
		for how, remove := range map[string]func(*Node, *want) error{
			"pruned": func(n *Node, w *want) error { return n.Prune(w.seq + 1) },
			"lost":   func(n *Node, w *want) error { return os.RemoveAll(n.depot.round(w.seq)) },
		} {
			t.Run(name+", "+how, func(t *testing.T) {
				w := newWorld(t, 2, 1, 60_000)
				n := w.nodes[0]
				h := n.signer.SignHeader(aggregator.Header{Payload: sha256.Sum256(payload), Size: uint64(len(payload))})
				wanted, _, err := n.depot.want(&h, 1, needSent)
				if err != nil {
					t.Fatal(err)
				}
				l, err := listParts(n.signer, h, bytes.NewReader(payload))
				if err != nil {
					t.Fatal(err)
				}
				n.parts.pull(wanted, l)
				n.parts.do(func() {
					c.before(n, wanted, l)
					if err := remove(n, wanted); err != nil {
						t.Error(err)
					}
				})
				c.after(n, wanted, l)
				settle(n)
				if err := n.Err(); (err != nil) != (how == "lost") {
					t.Errorf("the node says %v", err)
				}
				if how == "pruned" {
					eventually(t, "the parts to be given up", func() bool {
						held := make(chan bool, 1)
						n.parts.do(func() { held <- n.parts.transfers[wanted.id] != nil })
						return !<-held
					})
				}
			})
		}
	}
}
