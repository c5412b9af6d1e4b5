package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/aggregator"
)

// participation is what a guest's part in a run came to.
type participation struct {
	RunID      string  `json:"run_id"`
	Name       string  `json:"name"`
	Rounds     uint64  `json:"rounds"`  // of the run
	Counted    uint64  `json:"counted"` // of them with this machine's work
	Tokens     uint64  `json:"tokens"`  // of this machine that counted
	Share      float64 `json:"share"`   // of all tokens that counted
	StateHash  string  `json:"state_hash"`
	Checkpoint string  `json:"checkpoint_cid,omitempty"`
	BytesSent  uint64  `json:"bytes_sent"`
	BytesRecv  uint64  `json:"bytes_received"`
	WallS      float64 `json:"wall_s"`
}

// participation sums up the log.
func (g *guest) participation() (p participation, err error) {
	rounds, w := g.manifest.Schedule.Rounds(), g.lead()
	p = participation{RunID: g.manifest.Hash().String(), Name: g.manifest.Name, Rounds: uint64(rounds), StateHash: w.loop.Root().String(), WallS: g.report.wall()}
	p.BytesSent, p.BytesRecv = g.report.last.BytesSent, g.report.last.BytesRecv
	var all uint64
	for n := aggregator.Seq(1); n <= rounds+1; n++ {
		c, err := w.node.Certificate(context.Background(), n)
		if err != nil {
			return p, fmt.Errorf("summing up: %w", err)
		}
		if c.Announce.CID != "" {
			p.Checkpoint = c.Announce.CID
		}
		mine := uint64(0)
		for _, e := range c.List {
			all += e.Weight
			if g.owns(e.Worker) {
				mine += e.Weight
			}
		}
		p.Tokens += mine
		if mine > 0 {
			p.Counted++
		}
	}
	if all > 0 {
		p.Share = float64(p.Tokens) / float64(all)
	}
	return p, nil
}

// owns says whether a peer is one of this machine's workers.
func (s *session) owns(p aggregator.PeerID) bool {
	for _, w := range s.workers {
		if w.signer.ID == p {
			return true
		}
	}
	return false
}

func (p participation) tell(out *console) {
	out.line("")
	out.line("the run is over. Thank you: this machine's work counted in %d of %d rounds, %s tokens, %.1f %% of all",
		p.Counted, p.Rounds, humanize.Comma(int64(p.Tokens)), 100*p.Share)
	out.line("sent             %s, received %s, in %s", humanize.Bytes(p.BytesSent), humanize.Bytes(p.BytesRecv), clock(time.Duration(p.WallS*float64(time.Second))))
	out.line("state            %s", p.StateHash)
	if p.Checkpoint != "" {
		out.line("checkpoint       %s", p.Checkpoint)
	}
}

// standing says how a round treated this machine's workers.
func (g *guest) standing(ctx context.Context, l aggregator.Landing) string {
	var mine, all uint64
	cert := l.Certificate
	for _, e := range cert.List {
		all += e.Weight
		if g.owns(e.Worker) {
			mine += e.Weight
		}
	}
	w := g.lead()
	switch {
	case mine > 0:
		return fmt.Sprintf("counted %.1f %%", 100*float64(mine)/float64(all))
	case l.Tally.Steps == 0 && g.manifest.Async() && w.exchange.Seated():
		return "" // somebody else's round: this worker's own has still time
	case l.Tally.Steps == 0 && w.exchange.Seated():
		return "seated: trains from the next round on"
	case l.Tally.Steps == 0:
		return "only followed"
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	v, err := w.node.Verdict(ctx, cert.Seq)
	if err != nil {
		return "not counted; the committee does not say why"
	}
	return "not counted: " + v.String()
}
