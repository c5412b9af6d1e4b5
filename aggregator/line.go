package aggregator

import (
	"fmt"
	"slices"
)

// The rounds of an asynchronous run: contributions stand in line, and each becomes a round of its own.

// queue takes a contribution that counts from one of the last states.
func (r *Rounds) queue(h *SignedHeader) error {
	tip, worker := r.chain.tip.Seq, h.Worker
	same := func(o *SignedHeader) bool { return o.Worker == worker }
	if root, known := r.known[h.Base]; known && root != h.BaseRoot {
		return fmt.Errorf("%w: %v counts from root %s after round %d, others from %s", ErrDiverged, worker, h.BaseRoot.Short(), h.Base, root.Short())
	}
	switch i := slices.IndexFunc(r.line, same); {
	case i >= 0 && r.line[i].Header == h.Header:
		return nil
	case i >= 0:
		return fmt.Errorf("%w: %v from round %d on", ErrRepeated, worker, h.Base)
	case h.Base < r.chain.counted[worker]: // the counted one once more, as a rule
		return fmt.Errorf("%w: %v from round %d on, it was counted in round %d", ErrLate, worker, h.Base, r.chain.counted[worker])
	case h.Base > tip:
		return fmt.Errorf("%w: %v counts from round %d, the log is at %d", ErrEarly, worker, h.Base, tip)
	case tip-h.Base > r.chain.manifest.MaxStaleness:
		return fmt.Errorf("%w: %v counts from round %d, the log is at %d", ErrStale, worker, h.Base, tip)
	}
	r.known[h.Base] = h.BaseRoot
	r.line = append(r.line, h)
	delete(r.leaves, worker)
	return nil
}

// front is whoever is next.
func (r *Rounds) front() map[PeerID]*SignedHeader {
	if len(r.line) == 0 {
		return nil
	}
	return map[PeerID]*SignedHeader{r.line[0].Worker: r.line[0]}
}

// overtaken drops from the line what the log has counted, and what has become too old in it.
func (r *Rounds) overtaken() {
	tip := r.chain.tip.Seq
	r.line = slices.DeleteFunc(r.line, func(h *SignedHeader) bool {
		_, active := r.chain.roster.Slot(h.Worker)
		return !active || r.chain.Answered(h)
	})
	for n := range r.known {
		if tip-n > r.chain.manifest.MaxStaleness {
			delete(r.known, n)
		}
	}
}
