package ipfs

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	"pgregory.net/rapid"
)

func testCID(i int) cid.Cid {
	c, err := builder.WithCodec(cid.Raw).Sum([]byte(fmt.Sprint(i)))
	if err != nil {
		panic(err)
	}
	return c
}

// peers is what the peers know: each block that they were asked for and not released from.
type peersSeen map[peer.ID]map[cid.Cid]bool

func (p peersSeen) see(out []ask) {
	for _, a := range out {
		if p[a.to] == nil {
			p[a.to] = map[cid.Cid]bool{}
		}
		if a.cancel {
			delete(p[a.to], a.block)
		} else {
			p[a.to][a.block] = true
		}
	}
}

// TestAsksKeepItsRules plays random events and checks what the peers were told.
func TestAsksKeepItsRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, seen := newAsks(), peersSeen{}
		now := time.Unix(0, 0)
		connected, wanted := map[peer.ID]bool{}, map[cid.Cid]bool{}
		some := func() (peer.ID, cid.Cid) {
			return peer.ID(rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "peer")), testCID(rapid.IntRange(0, 19).Draw(t, "block"))
		}
		t.Repeat(map[string]func(*rapid.T){
			"add":  func(*rapid.T) { _, c := some(); a.add(c, now); wanted[c] = true },
			"drop": func(*rapid.T) { _, c := some(); a.drop(c, now); delete(wanted, c) },
			"connected": func(*rapid.T) {
				p, _ := some()
				a.connected(p, now)
				connected[p] = true
			},
			"gone": func(*rapid.T) {
				p, _ := some()
				a.gone(p, now)
				seen.see(a.take())
				delete(connected, p)
				delete(seen, p)
			},
			"arrived": func(t *rapid.T) {
				p, c := some()
				if got := a.arrived(p, c, now); (got == delivered) != wanted[c] {
					t.Fatalf("outcome %v of a block that was wanted: %v", got, wanted[c])
				}
				delete(wanted, c)
				if seen[p] != nil {
					delete(seen[p], c) // the server forgets what it sent
				}
			},
			"lacks": func(*rapid.T) { p, c := some(); a.lacks(p, c, now) },
			"time": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "s")) * time.Second)
				a.tick(now)
			},
			"": func(t *rapid.T) {
				seen.see(a.take())
				owed := map[cid.Cid]int{}
				for p, blocks := range seen {
					if len(blocks) > perPeer || len(blocks) > 0 && !connected[p] {
						t.Fatalf("peer %s owes %d blocks", p, len(blocks))
					}
					for c := range blocks {
						owed[c]++
					}
				}
				for c, n := range owed {
					if n > 1 || !wanted[c] {
						t.Fatalf("block %s is owed by %d peers, wanted: %v", c, n, wanted[c])
					}
				}
				if want := slices.Collect(maps.Keys(a.wanted)); len(want) != len(wanted) {
					t.Fatalf("%d blocks wanted, want %d", len(want), len(wanted))
				}
				if len(a.queue)+len(owed) != len(wanted) {
					t.Fatalf("%d in the queue and %d owed, but %d wanted", len(a.queue), len(owed), len(wanted))
				}
			},
		})
	})
}

func TestAsksGoWhereTheBlocksAre(t *testing.T) {
	a, now := newAsks(), time.Unix(0, 0)
	for _, p := range []peer.ID{"bare", "full"} {
		a.connected(p, now)
	}
	next := 0
	for ; next < 8; next++ {
		a.add(testCID(next), now)
	}
	asked := map[peer.ID]int{}
	for range 100 {
		out := a.take()
		if len(out) == 0 {
			break
		}
		for _, o := range out {
			if o.cancel {
				continue
			}
			asked[o.to]++
			if o.to == "bare" {
				a.lacks(o.to, o.block, now)
				continue
			}
			if a.arrived(o.to, o.block, now) != delivered {
				t.Fatal("not delivered")
			}
			if next < 40 {
				a.add(testCID(next), now)
				next++
			}
		}
	}
	if len(a.wanted) > 0 || asked["full"] != 40 || asked["bare"] > perPeer {
		t.Errorf("%d are missing; asked %v", len(a.wanted), asked)
	}
}

func TestAsksLeaveAStalledPeer(t *testing.T) {
	a, now := newAsks(), time.Unix(0, 0)
	a.connected("silent", now)
	a.add(testCID(0), now)
	a.connected("other", now)
	a.take()
	a.tick(now.Add(stallAfter - 1))
	if out := a.take(); len(out) > 0 {
		t.Errorf("too early: %v", out)
	}
	a.tick(now.Add(stallAfter))
	if out := a.take(); len(out) != 2 || !out[0].cancel || out[0].to != "silent" || out[1].to != "other" {
		t.Errorf("asked %v", out)
	}
}

func TestAsksFindWhatAPeerLost(t *testing.T) {
	a, now := newAsks(), time.Unix(0, 0)
	a.connected("a", now)
	a.add(testCID(0), now)
	a.connected("b", now)
	a.came = ramp
	for i := 1; i <= 100; i++ {
		a.add(testCID(i), now)
	}
	for range 40 {
		for _, o := range a.take() {
			if o.block == testCID(0) && o.to == "b" {
				return
			}
			if !o.cancel && o.block != testCID(0) {
				a.arrived(o.to, o.block, now)
			}
		}
	}
	t.Error("the lost block was asked of nobody else")
}

func TestAsksAddPeersOneByOne(t *testing.T) {
	a, now := newAsks(), time.Unix(0, 0)
	for _, p := range []peer.ID{"a", "b", "c"} {
		a.connected(p, now)
	}
	for i := range 10 * ramp {
		a.add(testCID(i), now)
	}
	for i := range 3 * ramp {
		if most := min(3, 1+i/ramp); a.busy() > most {
			t.Fatalf("%d peers are busy after %d blocks, want at most %d", a.busy(), i, most)
		}
		for _, s := range a.peers {
			if len(s.owed) > 0 {
				a.arrived(s.id, s.owed[0].block, now)
				break
			}
		}
	}
	if a.busy() != 3 {
		t.Errorf("%d peers are busy at the end", a.busy())
	}
}
