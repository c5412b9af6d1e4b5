package aggregator

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Member is one seat of the committee: it feeds events to Rounds, puts what is due into the Log, signs what the log
// decided (at most one body per number, for ever: the log keeps the decision before the signature exists) and hands out
// certificates. Its methods may be called from any goroutine.
//
// This is the committee of one: the decision is the only proposal, and one signature is a quorum.
type Member struct {
	mu     sync.Mutex
	signer Signer
	index  uint8
	rounds *Rounds
	log    Log
	last   uint64 // entries of the log that rounds has seen
	out    func(*Certificate)
}

// NewMember opens a committee seat over a log: it replays the log, finishes a decision that was left without a
// certificate, and writes the genesis if the log is empty. Every certificate, old and new, goes to out, in order, with
// the member's lock held: out must not call back.
func NewMember(ctx context.Context, m *Manifest, s Signer, log Log, workers []PeerID, out func(*Certificate)) (*Member, error) {
	b := &Member{signer: s, rounds: NewRounds(NewChain(m)), log: log, out: out}
	if len(m.Committee) != 1 || m.Committee[0] != s.ID {
		return nil, errors.New("aggregator: this member is not the committee of one that the manifest names")
	}
	n, err := log.Last()
	if err != nil {
		return nil, fmt.Errorf("aggregator: reading the log: %w", err)
	}
	var open *Body
	for i := uint64(1); i <= n; i++ {
		e, err := log.Read(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("aggregator: log entry %d: %w", i, err)
		}
		b.last = i
		if open = e.Decide; e.Final == nil {
			continue
		}
		if err := b.committed(e.Final); err != nil {
			return nil, fmt.Errorf("aggregator: log entry %d: %w", i, err)
		}
	}
	if n == 0 {
		genesis := m.Genesis(workers)
		return b, b.certify(ctx, &genesis)
	}
	if open != nil {
		return b, b.finish(ctx, open)
	}
	return b, nil
}

// Do feeds the machine with events and certifies whatever is due then.
func (b *Member) Do(ctx context.Context, events func(*Rounds)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	events(b.rounds)
	for {
		body, due := b.rounds.Next()
		if !due {
			return nil
		}
		if err := b.certify(ctx, &body); err != nil {
			return err
		}
	}
}

func (b *Member) certify(ctx context.Context, body *Body) error {
	if err := b.rounds.chain.CheckBody(body); err != nil {
		return fmt.Errorf("aggregator: refusing to sign: %w", err)
	}
	if err := b.log.Append(ctx, b.last+1, Entry{Decide: body}); err != nil {
		return fmt.Errorf("aggregator: deciding number %d: %w", body.Seq, err)
	}
	b.last++
	return b.finish(ctx, body)
}

// finish signs a decided body and puts the certificate into the log.
func (b *Member) finish(ctx context.Context, body *Body) error {
	cert := &Certificate{Body: *body, Signatures: []Endorsement{b.signer.SignBody(b.index, body)}}
	if err := b.log.Append(ctx, b.last+1, Entry{Final: cert}); err != nil {
		return fmt.Errorf("aggregator: certifying number %d: %w", body.Seq, err)
	}
	b.last++
	return b.committed(cert)
}

func (b *Member) committed(cert *Certificate) error {
	if err := b.rounds.Committed(cert); err != nil {
		return err
	}
	b.out(cert)
	return nil
}
