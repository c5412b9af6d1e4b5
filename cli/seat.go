package cli

import (
	"context"
	"errors"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/swarm"
)

// seat is the committee's seat on this machine: a peer of its own, so that a worker may die without taking the run along.
// A machine that joined a run of somebody else has none.
type seat struct {
	node    *swarm.Node
	order   *swarm.BoltLog // the committee's memory
	members *swarm.Committee
}

const seatName = "committee"

// openSeat starts the committee's peer. The workers that it is told are admitted by the first certificate.
func (s *session) openSeat(ctx context.Context) (err error) {
	_, seed, err := s.key(seatName)
	if err != nil {
		return err
	}
	s.seat = &seat{}
	if s.seat.node, err = s.listen(ctx, seatName, seed); err != nil {
		return err
	}
	if s.seat.order, err = swarm.OpenBoltLog(s.dir.log()); err != nil {
		return err
	}
	var ids []aggregator.PeerID
	for _, w := range s.workers {
		ids = append(ids, w.signer.ID)
	}
	s.seat.members, err = swarm.NewCommittee(ctx, s.seat.node, s.seat.order, ids, s.gate.check)
	return err
}

// closeLog frees the committee's memory; its peer must be closed before.
func (c *seat) closeLog() error {
	if c.order == nil {
		return nil
	}
	return c.order.Close()
}

// close ends the committee's peer. It may be called at any stage of openSeat.
func (c *seat) close() error {
	if c.node == nil {
		return nil
	}
	return errors.Join(c.node.Close())
}
