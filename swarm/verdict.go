package swarm

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/skein-train/skein/aggregator"
)

// protocolVerdict asks the committee about one contribution: run ‖ round ‖ worker → verdict.
const protocolVerdict protocol.ID = "/skein/verdict/1"

const (
	verdictRequestSize = 32 + 8 + 32
	verdictSize        = 1 + 8 + 8 + 8
)

// Outcome is what became of a contribution.
type Outcome uint8

// The outcomes. Their numbers are those of docs/wire.md, "Verdicts".
const (
	Unknown    Outcome = iota // not in the log yet, or forgotten
	Pending                   // the round is open, and nothing has come
	Received                  // the round is open, and the contribution is in
	Counted                   // with a weight
	Absent                    // nothing came before the round closed
	Incomplete                // the header came in time, the payload did not
	Late                      // it came after the round had closed
	Stale                     // it counts from another state than most
	Invalid                   // its payload is none of the codec's
	NoSeat                    // the worker was not in the roster
	outcomes
)

// Verdict says whether a worker's contribution to a round was counted, and why not.
type Verdict struct {
	Round         aggregator.Seq
	Outcome       Outcome
	Weight, Total uint64        // if counted: tokens of this worker, and of all
	Behind        time.Duration // if late: since the round closed, in milliseconds
}

// String is the verdict as one sentence for a person.
func (v Verdict) String() string {
	switch v.Outcome {
	case Pending:
		return fmt.Sprintf("round %d is open: nothing has reached the committee yet", v.Round)
	case Received:
		return fmt.Sprintf("round %d is open: the contribution is in", v.Round)
	case Counted:
		return fmt.Sprintf("round %d: counted, %.1f %% of the weight", v.Round, 100*float64(v.Weight)/float64(v.Total))
	case Absent:
		return fmt.Sprintf("round %d: not counted: nothing reached the committee before the round closed; the worker is slower than the others, or was cut off", v.Round)
	case Incomplete:
		return fmt.Sprintf("round %d: not counted: the round closed before the upload was complete; raise swarm.up if it is set", v.Round)
	case Late:
		return fmt.Sprintf("round %d: not counted: it came %.1f s after the round had closed", v.Round, v.Behind.Seconds())
	case Stale:
		return fmt.Sprintf("round %d: not counted: it was trained from another state than the others'; the worker has to fetch a checkpoint", v.Round)
	case Invalid:
		return fmt.Sprintf("round %d: not counted: the payload is damaged or not of the run's codec; update skein, and test the machine's memory", v.Round)
	case NoSeat:
		return fmt.Sprintf("round %d: not counted: the worker had no seat in it; its first full round counts", v.Round)
	default:
		return fmt.Sprintf("round %d: not counted, as far as is known: the committee does not remember it", v.Round)
	}
}

func (v *Verdict) encode() []byte {
	out := append(make([]byte, 0, verdictSize), byte(v.Outcome))
	out = binary.LittleEndian.AppendUint64(out, v.Weight)
	out = binary.LittleEndian.AppendUint64(out, v.Total)
	return binary.LittleEndian.AppendUint64(out, uint64(v.Behind.Milliseconds()))
}

// decodeVerdict reads a verdict from hostile bytes.
func decodeVerdict(round aggregator.Seq, b []byte) (v Verdict, err error) {
	if len(b) != verdictSize || b[0] >= byte(outcomes) {
		return v, malformed("verdict of %d bytes", len(b))
	}
	v = Verdict{Round: round, Outcome: Outcome(b[0]), Weight: binary.LittleEndian.Uint64(b[1:]), Total: binary.LittleEndian.Uint64(b[9:])}
	ms := binary.LittleEndian.Uint64(b[17:])
	if v.Weight > v.Total || (v.Outcome == Counted) != (v.Total > 0) || ms > maxMillis {
		return Verdict{}, malformed("verdict of weight %d of %d, %d ms", v.Weight, v.Total, ms)
	}
	v.Behind = time.Duration(ms) * time.Millisecond
	return v, nil
}

// counted is the verdict that a certificate gives, if the worker is in its list.
func counted(c *aggregator.Certificate, who aggregator.PeerID) (v Verdict, ok bool) {
	e, ok := c.Counts(who)
	if !ok {
		return v, false
	}
	v = Verdict{Round: c.Seq, Outcome: Counted, Weight: e.Weight}
	for i := range c.List {
		v.Total += c.List[i].Weight
	}
	return v, true
}

// errNoCommittee says that there is nobody to ask.
var errNoCommittee = errors.New("no member of the committee is connected")

// Verdict tells what became of this node's contribution to a round: from the log if it is counted, otherwise in the words
// of the committee, which remembers 64 rounds.
func (n *Node) Verdict(ctx context.Context, round aggregator.Seq) (Verdict, error) {
	if tip := n.ledger.tip(); tip != nil && round <= tip.Seq {
		c, err := n.ledger.get(ctx, round)
		if err != nil {
			return Verdict{}, fmt.Errorf("swarm: verdict: %w", err)
		}
		if v, ok := counted(c, n.signer.ID); ok {
			return v, nil
		}
	}
	request := append(binary.LittleEndian.AppendUint64(nil, uint64(round)), n.signer.ID[:]...)
	v, err := Verdict{}, error(nil)
	if b, e := n.petition(ctx, protocolVerdict, request, verdictSize); e == nil {
		v, err = decodeVerdict(round, b)
	} else {
		err = e
	}
	if err != nil {
		return Verdict{}, fmt.Errorf("swarm: verdict about round %d: %w", round, err)
	}
	return v, nil
}

// petition puts a request to the connected members of the committee until one answers with so many bytes.
func (n *Node) petition(ctx context.Context, id protocol.ID, request []byte, size int) ([]byte, error) {
	err := errNoCommittee
	for _, m := range n.Run.Committee {
		p, e := netID(m)
		if e != nil || m == n.signer.ID || n.host.Network().Connectedness(p) != network.Connected {
			continue
		}
		var b []byte
		if b, err = n.petitionTo(ctx, p, id, request, size); err == nil {
			return b, nil
		}
	}
	return nil, err
}

func (n *Node) petitionTo(ctx context.Context, p peer.ID, id protocol.ID, request []byte, size int) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, streamIdle)
	defer cancel()
	r, finish, err := n.open(ctx, p, id, request)
	if err != nil {
		return nil, err
	}
	defer finish()
	b := make([]byte, size)
	_, err = io.ReadFull(r, b)
	return b, err
}

// serveVerdict answers for the committee.
func (c *Committee) serveVerdict(s network.Stream) error {
	b, err := c.n.request(s, verdictRequestSize)
	if err != nil {
		return err
	}
	v := c.judgement(aggregator.Seq(binary.LittleEndian.Uint64(b)), aggregator.PeerID(b[8:]))
	_, err = lively{s}.Write(v.encode())
	return err
}

// judgement is what the log and the committee's memory say of a contribution.
func (c *Committee) judgement(round aggregator.Seq, who aggregator.PeerID) Verdict {
	tip := c.n.ledger.tip()
	if tip == nil || round == 0 || round > c.n.Run.Schedule.Rounds() {
		return Verdict{Round: round}
	}
	if round <= tip.Seq {
		cert, err := c.n.ledger.get(c.n.ctx, round)
		if err != nil {
			return Verdict{Round: round}
		}
		if v, ok := counted(cert, who); ok {
			return v
		}
	}
	return c.memory.recall(round, who)
}
