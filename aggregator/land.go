package aggregator

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/skein-train/skein/gradients"
)

// land waits for round n's certificate, folds it into the shared state and puts the replica on the new anchor.
func (w *Worker) land(ctx context.Context, n Seq) error {
	s := w.state
	cert, err := w.Exchange.Next(ctx, s.Seq)
	if err != nil {
		return err
	}
	merged, weights := w.merges(cert) // before the chain moves on
	if err := w.chain.Follow(cert); err != nil {
		return err
	}
	w.reserved()
	flight := w.arrived(cert)
	if err := w.compare(cert, flight); err != nil {
		return err
	}
	f := w.fragment[cert.Key.Fragment]
	out := Landing{Worker: w, Certificate: cert, Step: s.Step, Tally: flight.Tally, Merged: merged}
	if out.Norm, out.Refused, err = w.fold(ctx, cert, f, flight, merged, weights); err != nil {
		return err
	}
	if err := w.settle(ctx, cert); err != nil {
		return err
	}
	s.Seq = n
	if !w.Apart() {
		w.roots.changed(f.ID, s)
	}
	w.merge(f)
	if err := w.sit(ctx); err != nil {
		return err
	}
	if w.Landed != nil {
		return w.Landed(ctx, out)
	}
	return nil
}

// arrived removes the departure that a certificate settles from those under way; the zero Flight if there is none.
func (w *Worker) arrived(cert *Certificate) Flight {
	s := w.state
	if len(s.Flights) == 0 {
		return Flight{}
	}
	f := s.Flights[0]
	if w.Manifest.Async() {
		s.Step = w.Manifest.Schedule.Landing(cert.Seq)
		if _, counted := cert.Counts(w.Signer.ID); !counted && cert.Seq-(f.Seq-1) <= w.Manifest.MaxStaleness {
			return Flight{} // its turn may still come
		}
	} else if f.Seq != cert.Seq {
		return Flight{}
	}
	s.Flights = s.Flights[1:]
	return f
}

// compare holds the certified root against this worker's own, whoever is counted. The hashing of the state before the
// landing is over once it returns.
func (w *Worker) compare(cert *Certificate, flight Flight) error {
	w.past[w.state.Seq] = w.Root()
	own, known := w.past[cert.Base]
	if !known { // before the snapshot that this life started from
		own, known = flight.Base, flight.Base != (Hash{})
	}
	for n := range w.past {
		if n+w.Manifest.MaxStaleness < cert.Base {
			delete(w.past, n)
		}
	}
	if known && len(cert.List) > 0 && cert.BaseRoot != own {
		return fmt.Errorf("%w: root %s after round %d, certified is %s", ErrDiverged, own.Short(), cert.Base, cert.BaseRoot.Short())
	}
	return nil
}

// fold adds up what the worker merges of a round and takes the outer step along the mean. Where there is nothing to merge, nothing
// changes: no zero vector is averaged in, and the momentum stays as it is.
func (w *Worker) fold(ctx context.Context, cert *Certificate, f gradients.Fragment, flight Flight, merged []Included, weights []float32) (norm float64, refused int, err error) {
	codec := w.codecs[f.ID]
	total, own := codec.NewSum(), gradients.Vec(nil)
	for i := range merged {
		h := &merged[i].SignedHeader
		payload, err := w.part(ctx, cert.Seq, h, codec)
		if errors.Is(err, ErrGone) && w.Method.Pull != 0 && !w.gathers(cert.Seq) {
			refused++ // nobody else has to come to the same anchor
			continue
		}
		if err != nil {
			return 0, 0, fmt.Errorf("payload of %v: %w", h.Worker, err)
		}
		if total.Add(weights[i], payload) != nil {
			refused++ // the same bytes are refused by everybody
			continue
		}
		if h.Worker == w.Signer.ID && flight.Sent != nil && w.state.Residual != nil {
			own = w.scratch[:f.Len()]
			if err := gradients.Decoded(codec, own, payload); err != nil {
				return 0, 0, err
			}
		}
	}
	if w.state.Residual != nil && flight.Sent != nil {
		gradients.Settle(f.Of(w.state.Residual), flight.Sent, own)
	}
	if len(merged) == refused {
		return 0, refused, nil
	}
	mean := w.scratch[:f.Len()]
	if w.Method.Pull != 0 {
		mean = w.scratch[:2*f.Len()]
	}
	total.Mean(mean)
	return w.advance(cert, f, mean), refused, nil
}

// part is the payload that a contribution counted in round n goes into the sum with.
func (w *Worker) part(ctx context.Context, n Seq, h *SignedHeader, codec gradients.Codec) ([]byte, error) {
	if w.Method.Fresh && !w.gathers(n) && h.Worker == w.Signer.ID {
		return codec.Append(nil, h.Key, w.fresh(), nil), nil
	}
	return w.payload(ctx, h, codec.MaxSize())
}

// advance takes the outer step along the mean pseudo-gradient and returns that one's norm.
func (w *Worker) advance(cert *Certificate, f gradients.Fragment, mean gradients.Vec) (norm float64) {
	anchor, outer := f.Of(w.state.Anchor), cut(w.state.Outer, f)
	if w.gathers(cert.Seq) {
		w.gather(mean[:f.Len()])
		return 0
	}
	if w.Method.Pull != 0 {
		mean = pulled(mean, anchor, w.Method.Pull)
	}
	norm = gradients.Norm(mean)
	w.outer[f.ID].Apply(w.outerStep(cert), mean, anchor, outer)
	gradients.Sub(anchor, anchor, mean)
	return norm
}

func (w *Worker) outerStep(cert *Certificate) gradients.Step {
	at := gradients.Step{
		Inner: cert.Key.Departure,
		Outer: (uint64(cert.Seq)-1)/w.Manifest.Schedule.Fragments + 1,
	}
	if w.Method.LR != nil {
		at.LR = w.Method.LR(at.Inner)
	}
	return at
}

// payload reads one counted payload whole: at most as many bytes as the codec can produce.
func (w *Worker) payload(ctx context.Context, h *SignedHeader, limit int) ([]byte, error) {
	r, err := w.Exchange.Open(ctx, h)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	if h.Size > uint64(limit) {
		return nil, nil // no payload of this codec: refused by Sum.Add
	}
	b := make([]byte, h.Size)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return b, nil
}

// merge puts the replica on the new anchor, keeping the share of its own progress that the method asks for.
func (w *Worker) merge(f gradients.Fragment) {
	anchor := f.Of(w.state.Anchor)
	if w.Method.Blend == 0 {
		w.Replica.Write(anchor, f)
		return
	}
	local := w.scratch[:f.Len()]
	w.Replica.Read(local, f)
	gradients.Blend(local, local, anchor, w.Method.Blend)
	w.Replica.Write(local, f)
}
