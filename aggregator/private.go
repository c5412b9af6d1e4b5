package aggregator

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/skein-train/skein/gradients"
)

// What workers with anchors of their own do differently: whom they merge with, and how they come together at the end.

// Apart says whether the workers' anchors differ now: there is no common state to publish.
func (w *Worker) Apart() bool {
	return w.Method.Private && w.state.Seq < w.Manifest.Schedule.Rounds()
}

// gathers says whether round n is the one in which workers with anchors of their own come together.
func (w *Worker) gathers(n Seq) bool { return w.Method.Private && n == w.Manifest.Schedule.Rounds() }

// Gathers says whether the round brought workers with anchors of their own together: what it merges are parameters, not
// pseudo-gradients.
func (l Landing) Gathers() bool { return l.Worker.gathers(l.Certificate.Seq) }

// prepare lands what is under way before a round that gathers departs: what is gathered holds everything.
func (w *Worker) prepare(ctx context.Context, n Seq) error {
	for w.gathers(n) && w.state.Seq+1 < n {
		if err := w.land(ctx, w.state.Seq+1); err != nil {
			return err
		}
	}
	return nil
}

// position writes what a worker offers to be gathered: its parameters, as the way from them to zero.
func (w *Worker) position(dst gradients.Vec) {
	zero := w.scratch[:len(dst)]
	clear(zero)
	w.Replica.Delta(dst, zero, gradients.Fragment{Hi: len(dst)})
}

// gather puts the worker at the mean of all positions. Its momentum belongs to the way there.
func (w *Worker) gather(mean gradients.Vec) {
	for i, v := range mean {
		w.state.Anchor[i] = -v
	}
	for _, v := range w.state.Outer {
		clear(v)
	}
}

// merges lists what this worker reads of the round after the chain's tip and adds up, in the order of the sum, with its weights. Who is not counted
// where anchors travel takes part in nothing but the end: it takes over an anchor when it comes back. Where they do not travel it goes along with what
// the others did, so that it does not fall behind.
func (w *Worker) merges(cert *Certificate) (out []Included, weights []float32) {
	_, counted := cert.Counts(w.Signer.ID)
	if w.Method.Pull != 0 && !w.gathers(cert.Seq) && !counted {
		return nil, nil
	}
	for i, weight := range cert.Weights() {
		if e := cert.List[i]; w.chain.Reads(w.Signer.ID, e.Worker) {
			out, weights = append(out, e), append(weights, weight)
		}
	}
	return out, weights
}

// settle has a worker that a round admits take over the place of one that the round counts, where anchors travel: with an anchor of its own, be it the
// run's first parameters, it would pull back whoever it meets. Whose it is, the beacon draws.
func (w *Worker) settle(ctx context.Context, cert *Certificate) error {
	slot, _ := w.seat()
	admitted := slices.Contains(cert.Joined, Admitted{Slot: slot, Peer: w.Signer.ID})
	if w.Method.Pull == 0 || !admitted || w.gathers(cert.Seq) || len(cert.List) == 0 {
		return nil
	}
	drawn := lot(placeDomain, cert.Beacon, slot)
	first, n := binary.LittleEndian.Uint64(drawn[:]), uint64(len(cert.List))
	for k := range n {
		h := &cert.List[(first%n+k)%n].SignedHeader
		both := w.scratch[:2*len(w.state.Anchor)]
		payload, err := w.payload(ctx, h, w.codecs[0].MaxSize())
		switch {
		case errors.Is(err, ErrGone):
			continue
		case err != nil:
			return fmt.Errorf("the place of %v: %w", h.Worker, err)
		case gradients.Decoded(w.codecs[0], both, payload) != nil:
			continue
		}
		delta, anchor := both[:len(both)/2], both[len(both)/2:]
		gradients.Sub(w.state.Anchor, anchor, delta) // where it stood when it offered that
		for _, v := range w.state.Outer {
			clear(v)
		}
		return nil
	}
	return fmt.Errorf("none of those that round %d counts can be followed: %w", cert.Seq, ErrGone)
}

// fresh is how far the replica has moved from the anchor by now.
func (w *Worker) fresh() gradients.Vec {
	all := gradients.Fragment{Hi: w.Layout.Len()}
	delta := make(gradients.Vec, all.Len())
	w.Replica.Delta(delta, w.state.Anchor, all)
	return delta
}

// begun takes, when the first round of a worker departs, the outer step that no round lands for: along this worker's own part of a mean
// in which there is nothing yet from the others. From then on every departure holds the steps since the one before.
func (w *Worker) begun() {
	mean := w.fresh()
	gradients.Scale(1/float32(len(w.chain.roster.active))).Apply(gradients.Step{}, mean, nil, nil)
	w.outer[0].Apply(gradients.Step{Inner: w.state.Step, Outer: 1}, mean, w.state.Anchor, w.state.Outer)
	gradients.Sub(w.state.Anchor, w.state.Anchor, mean)
	w.Replica.Write(w.state.Anchor, gradients.Fragment{Hi: len(mean)})
}

// pulled adds, to the mean pseudo-gradient in the first half of means, a share of the way from the mean anchor in the second half
// to this worker's.
func pulled(means, anchor gradients.Vec, share float32) gradients.Vec {
	n := len(anchor)
	mean, centre := means[:n], means[n:2*n]
	for i := range mean {
		mean[i] += float32(share * (anchor[i] - centre[i]))
	}
	return mean
}
