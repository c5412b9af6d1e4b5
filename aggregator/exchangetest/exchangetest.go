// Package exchangetest is the suite that every aggregator.Exchange must pass, together with the aggregator role behind it.
package exchangetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// Swarm is what the suite drives: the ports of some workers that stand in the genesis' roster, and the aggregator role.
type Swarm struct {
	Manifest  *aggregator.Manifest
	Signers   []aggregator.Signer
	Exchanges []aggregator.Exchange
	// Do feeds the aggregator role with events, or looks at it.
	Do func(ctx context.Context, events func(*aggregator.Rounds)) error
	// Restart ends worker i as a crash would and opens it again from what it had stored; nil if nothing is stored.
	Restart func(i int) aggregator.Exchange
}

// Start makes a swarm of n workers. It fills in the manifest's committee and signs it.
type Start func(t *testing.T, m aggregator.Manifest, n int) *Swarm

// MaxPayload is the size in bytes of the largest payload that the suite offers.
const MaxPayload = 1 << 20

const (
	deadline = aggregator.Millis(3600_000) // passes only when the suite says so
	patience = 30 * time.Second
)

// Run tests the swarms that start makes.
func Run(t *testing.T, start Start) {
	for name, test := range map[string]func(*suite){
		"EveryoneReadsTheSameLog": everyoneReadsTheSameLog,
		"FirstOfferWins":          firstOfferWins,
		"AbsentCostsOneDeadline":  absentCostsOneDeadline,
		"LateIsNotCounted":        lateIsNotCounted,
		"OtherBytesAreRefused":    otherBytesAreRefused,
		"WaitingEndsWithContext":  waitingEndsWithContext,
		"RestartGoesOn":           restartGoesOn,
		"ReportsCloseTheRun":      reportsCloseTheRun,
	} {
		for _, topology := range []aggregator.Topology{aggregator.All, aggregator.Pair} {
			t.Run(name+"/"+string(topology), func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				defer cancel()
				m := aggregator.Manifest{
					Name: "exchangetest", Schedule: aggregator.Schedule{Every: 1, Fragments: 1, Steps: 4}, Topology: topology, Parameters: 1,
					BatchSize: 1, SeqLen: 8, Sequences: 8, MinPeers: 1, Deadline: deadline,
				}
				test(&suite{T: t, ctx: ctx, Swarm: start(t, m, 3)})
			})
		}
	}
	t.Run("AnAsynchronousRunCountsOneByOne", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		m := aggregator.Manifest{
			Name: "exchangetest", Schedule: aggregator.Schedule{Every: 1, Fragments: 1, Steps: 6}, Topology: aggregator.All, Parameters: 1,
			BatchSize: 1, SeqLen: 8, Sequences: 8, MinPeers: 1, Deadline: deadline, MaxStaleness: 3,
		}
		countsOneByOne(&suite{T: t, ctx: ctx, Swarm: start(t, m, 3)})
	})
}

type suite struct {
	*testing.T
	*Swarm
	ctx     context.Context
	counted aggregator.Seq // rounds that a test has seen
}

// contribution is worker i's for a round: random bytes, of which variant makes others.
func (s *suite) contribution(i int, n aggregator.Seq, size, variant int) aggregator.Contribution {
	payload := make([]byte, size)
	_, _ = rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, i, n, variant))).Read(payload)
	h := s.Signers[i].SignHeader(aggregator.Header{
		Run: s.Manifest.Hash(), Key: s.Manifest.Schedule.Key(n), Base: s.Manifest.Schedule.Base(n), Tokens: 8,
		Payload: sha256.Sum256(payload), Size: uint64(size),
	})
	return aggregator.Contribution{SignedHeader: h, Bytes: payload}
}

func (s *suite) offer(i int, c aggregator.Contribution) {
	s.Helper()
	if err := s.Exchanges[i].Offer(s.ctx, c); err != nil {
		s.Fatalf("worker %d offers: %v", i, err)
	}
}

func (s *suite) next(i int, after aggregator.Seq) *aggregator.Certificate {
	s.Helper()
	c, err := s.Exchanges[i].Next(s.ctx, after)
	if err != nil {
		s.Fatalf("worker %d waits for certificate %d: %v", i, after+1, err)
	}
	return c
}

// opens checks that worker i gets the bytes of every counted contribution.
func (s *suite) opens(i int, c *aggregator.Certificate) {
	s.Helper()
	for _, e := range c.List {
		r, err := s.Exchanges[i].Open(s.ctx, &e.SignedHeader)
		if err != nil {
			s.Fatalf("worker %d opens a payload of round %d: %v", i, c.Seq, err)
		}
		b, err := io.ReadAll(r)
		if err = errors.Join(err, r.Close()); err != nil || sha256.Sum256(b) != e.Payload {
			s.Errorf("worker %d reads %d bytes that are not the payload: %v", i, len(b), err)
		}
	}
}

// waitsFor waits until the open round waits for exactly these workers.
func (s *suite) waitsFor(workers ...int) {
	s.Helper()
	var want, got []aggregator.PeerID
	for _, i := range workers {
		want = append(want, s.Signers[i].ID)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		if err := s.Do(s.ctx, func(r *aggregator.Rounds) { got = r.Waiting() }); err != nil {
			s.Fatal(err)
		}
		if slices.Equal(got, want) {
			return
		}
		select {
		case <-tick.C:
		case <-s.ctx.Done():
			s.Fatalf("the round waits for %v, want %v", got, want)
		}
	}
}

func (s *suite) elapse() {
	if err := s.Do(s.ctx, func(r *aggregator.Rounds) { r.Elapse(deadline) }); err != nil {
		s.Fatal(err)
	}
}

// round has every worker offer size bytes and returns the certificate that worker 0 reads.
func (s *suite) round(n aggregator.Seq, size int) *aggregator.Certificate {
	for i := range s.Exchanges {
		s.offer(i, s.contribution(i, n, size, 0))
	}
	return s.next(0, n-1)
}

func everyoneReadsTheSameLog(s *suite) {
	for n, size := range []int{1, 1000, 300_000, MaxPayload} {
		c := s.round(aggregator.Seq(n+1), size)
		if len(c.List) != len(s.Exchanges) {
			s.Errorf("round %d counts %d of %d", n+1, len(c.List), len(s.Exchanges))
		}
		for i := range s.Exchanges {
			if other := s.next(i, aggregator.Seq(n)); other.Hash() != c.Hash() {
				s.Errorf("worker %d reads another certificate %d", i, n+1)
			}
			s.opens(i, c)
		}
	}
}

func firstOfferWins(s *suite) {
	first := s.contribution(0, 1, 1000, 0)
	s.offer(0, first)
	s.offer(0, s.contribution(0, 1, 1000, 1))
	s.offer(0, first)
	s.offer(1, s.contribution(1, 1, 1000, 0))
	s.offer(2, s.contribution(2, 1, 1000, 0))
	c := s.next(1, 0)
	if e, ok := c.Counts(s.Signers[0].ID); !ok || e.Payload != first.Payload {
		s.Errorf("counted payload %s, first offered was %s", e.Payload.Short(), first.Payload.Short())
	}
	s.opens(2, c)
}

func absentCostsOneDeadline(s *suite) {
	s.offer(0, s.contribution(0, 1, 1000, 0))
	s.offer(1, s.contribution(1, 1, 1000, 0))
	s.waitsFor(2)
	s.elapse()
	c := s.next(0, 0)
	if len(c.List) != 2 || !slices.Equal(c.Left, []aggregator.Slot{2}) {
		s.Errorf("%d counted, left: %v", len(c.List), c.Left)
	}
	s.offer(0, s.contribution(0, 2, 1000, 0))
	s.offer(1, s.contribution(1, 2, 1000, 0))
	if c := s.next(1, 1); len(c.List) != 2 { // no time passes any more
		s.Errorf("round 2 counts %d, want 2", len(c.List))
	}
}

func lateIsNotCounted(s *suite) {
	s.offer(0, s.contribution(0, 1, 1000, 0))
	s.offer(1, s.contribution(1, 1, 1000, 0))
	s.waitsFor(2)
	s.elapse()
	c := s.next(2, 0)
	s.offer(2, s.contribution(2, 1, 1000, 0))
	s.offer(0, s.contribution(0, 2, 1000, 0))
	s.offer(1, s.contribution(1, 2, 1000, 0))
	if _, ok := s.next(2, 1).Counts(s.Signers[2].ID); ok {
		s.Error("a late contribution is counted in the next round")
	}
	if again := s.next(2, 0); again.Hash() != c.Hash() || len(again.List) != 2 {
		s.Error("a late contribution changed its round's certificate")
	}
}

func otherBytesAreRefused(s *suite) {
	c := s.contribution(0, 1, 1000, 0)
	c.Bytes = bytes.Clone(c.Bytes)
	c.Bytes[500]++
	if err := s.Exchanges[0].Offer(s.ctx, c); !errors.Is(err, aggregator.ErrMalformed) {
		s.Errorf("offering other bytes than the header's: %v, want ErrMalformed", err)
	}
}

func waitingEndsWithContext(s *suite) {
	ctx, cancel := context.WithTimeout(s.ctx, time.Millisecond)
	defer cancel()
	if _, err := s.Exchanges[0].Next(ctx, 0); !errors.Is(err, context.DeadlineExceeded) {
		s.Errorf("waiting for what never comes: %v", err)
	}
}

func restartGoesOn(s *suite) {
	if s.Restart == nil {
		s.Skip("this exchange stores nothing")
	}
	one := s.round(1, 400_000)
	s.opens(0, one)
	two := s.contribution(0, 2, 400_000, 0)
	s.offer(0, two)
	s.Exchanges[0] = s.Restart(0)
	if again := s.next(0, 0); again.Hash() != one.Hash() {
		s.Error("another certificate after the restart")
	}
	s.opens(0, one)
	s.offer(0, s.contribution(0, 2, 400_000, 1)) // the bytes of the earlier life win
	s.offer(1, s.contribution(1, 2, 400_000, 0))
	s.offer(2, s.contribution(2, 2, 400_000, 0))
	c := s.next(0, 1)
	if e, ok := c.Counts(s.Signers[0].ID); !ok || e.Payload != two.Payload {
		s.Errorf("counted payload %s, offered before the restart was %s", e.Payload.Short(), two.Payload.Short())
	}
	s.opens(0, c)
	s.opens(1, c)
}

// countsOneByOne has two workers offer from the first state, one of them again and again, and the third from a state of some rounds ago.
func countsOneByOne(s *suite) {
	for _, o := range []struct {
		worker int
		base   aggregator.Seq
		size   int
	}{{0, 0, 1000}, {1, 0, 300_000}, {0, 1, 1000}, {0, 3, 300_000}, {2, 1, 1000}, {2, 5, 300_000}} {
		s.offer(o.worker, s.contribution(o.worker, o.base+1, o.size, 0))
		c := s.next(o.worker, s.counted)
		s.counted = c.Seq
		if e, ok := c.Counts(s.Signers[o.worker].ID); !ok || len(c.List) != 1 || c.Base != o.base || e.Size != uint64(o.size) {
			s.Errorf("round %d counts %d from round %d, expected worker %d from round %d", c.Seq, len(c.List), c.Base, o.worker, o.base)
		}
		for i := range s.Exchanges {
			s.next(i, c.Seq-1)
			s.opens(i, c)
		}
	}
}

func reportsCloseTheRun(s *suite) {
	last := s.Manifest.Schedule.Rounds()
	for n := aggregator.Seq(1); n <= last; n++ {
		c := s.round(n, 100)
		for i := range s.Exchanges {
			s.next(i, n-1)
			if err := s.Exchanges[i].Seal(s.ctx, n, aggregator.Hash(c.Hash())); err != nil {
				s.Fatal(err)
			}
		}
	}
	for i := range s.Exchanges {
		if c := s.next(i, last); c.Kind != aggregator.Closing {
			s.Errorf("worker %d reads kind %d after the last round", i, c.Kind)
		}
	}
}
