package swarm

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/multiformats/go-multiaddr"
	"github.com/skein-train/skein/aggregator"
)

// passage is what went through a bucket, and when.
type passage struct {
	at    time.Duration
	bytes int
}

// most is the largest number of bytes in any window of a second that starts with a passage.
func most(ps []passage) (out int) {
	for i := range ps {
		sum := 0
		for _, p := range ps[i:] {
			if p.at-ps[i].at >= time.Second {
				break
			}
			sum += p.bytes
		}
		out = max(out, sum)
	}
	return out
}

// However many connections push, in whatever pieces, with silences in between: no window of a second holds more than the cap, and
// most of the cap is used.
func TestNoSecondExceedsTheCap(t *testing.T) {
	for _, limit := range []uint64{16 << 10, 100_000, 1_250_000, 40_000_000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const seconds = 10
				b, start := NewCaps(limit, 0).up, time.Now()
				var mu sync.Mutex
				var ps []passage
				total := 0
				var pushers sync.WaitGroup
				for i := range 4 {
					pushers.Go(func() {
						r := rand.New(rand.NewPCG(uint64(i), limit))
						for time.Since(start) < seconds*time.Second {
							if r.IntN(200) == 0 {
								time.Sleep(time.Duration(r.IntN(700)) * time.Millisecond)
							}
							n := min(r.IntN(64<<10), len(b.piece(make([]byte, 64<<10))))
							if r.IntN(10) == 0 {
								b.charge(acks(n))
							}
							b.pay(t.Context(), cost(n))
							mu.Lock()
							ps = append(ps, passage{time.Since(start), cost(n)})
							total += cost(n)
							mu.Unlock()
						}
					})
				}
				pushers.Wait()
				if got := most(ps); uint64(got) > limit {
					t.Errorf("%d bytes in a second", got)
				}
				if share := float64(total) / seconds / float64(limit); share < 0.6 {
					t.Errorf("only %.2f of the cap is used", share)
				}
			})
		})
	}
}

// Waits that end late do not end together: a stall of the machine is not made up for.
func TestAStallIsNotMadeUpFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewCaps(1_000_000, 0).up
		b.pay(t.Context(), b.limit.Burst())
		time.Sleep(5 * time.Second)
		start := time.Now()
		for range 10 {
			b.pay(t.Context(), b.limit.Burst())
		}
		if took, least := time.Since(start), time.Duration(9*float64(b.limit.Burst())/float64(b.limit.Limit())*float64(time.Second)); took < least-time.Millisecond {
			t.Errorf("ten bursts in %v, at least %v expected", took, least)
		}
	})
}

// Two workers send 100 kB each to two peers through one bucket of 400 kB/s.
func TestCapsHold(t *testing.T) {
	w := &world{t: t, pace: defaultPace(), log: aggregator.NewMemoryLog()}
	w.found(plain(1, 600_000))
	w.caps = NewCaps(400_000, 400_000)
	w.open(2)
	start := time.Now()
	w.runAll(1, 100_000)
	var sent uint64
	for _, n := range append(w.nodes, w.home) {
		out, _ := n.Traffic()
		sent += out
	}
	if sent < 400_000 {
		t.Errorf("%d bytes sent, the payloads alone are 400000", sent)
	}
	if least := time.Second * 8 / 10; time.Since(start) < least {
		t.Errorf("the round took %v, the cap asks for %v", time.Since(start), least)
	}
}

// A node with a cap on what it receives dials TCP first.
func TestCappedNodesPreferTCP(t *testing.T) {
	tcp, quic := multiaddr.StringCast("/ip4/192.0.2.1/tcp/1"), multiaddr.StringCast("/ip4/192.0.2.1/udp/1/quic-v1")
	first := func(c *Caps) network.AddrDelay {
		return newMeter(t.Context(), c).rank([]multiaddr.Multiaddr{tcp, quic})[0]
	}
	if got := first(nil); !got.Addr.Equal(quic) {
		t.Errorf("without a cap: %v", got)
	}
	if got := first(NewCaps(0, 1)); !got.Addr.Equal(tcp) || got.Delay != 0 {
		t.Errorf("with a cap: %v", got)
	}
}
