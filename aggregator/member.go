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
	last   uint64 // entries of the log that this member has seen
	open   *Body  // decided in the log, not yet certified
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
	for i := uint64(1); i <= n; i++ {
		e, err := log.Read(ctx, i)
		if err != nil {
			return nil, fmt.Errorf("aggregator: log entry %d: %w", i, err)
		}
		b.last = i
		if err := b.replay(e); err != nil {
			return nil, fmt.Errorf("aggregator: log entry %d: %w", i, err)
		}
	}
	if n == 0 {
		genesis := m.Genesis(workers)
		if err := b.decide(ctx, &genesis); err != nil {
			return nil, err
		}
	}
	if b.open != nil {
		if err := b.rounds.chain.CheckBody(b.open); err != nil {
			return nil, fmt.Errorf("aggregator: log entry %d: %w", b.last, err)
		}
	}
	return b, b.finish(ctx)
}

// replay takes in an entry of an earlier life: a certificate finishes the decision before it.
func (b *Member) replay(e Entry) error {
	switch {
	case e.Final == nil && b.open != nil:
		return fmt.Errorf("%w: number %d is decided on top of an open decision", ErrInvalid, e.Decide.Seq)
	case e.Final == nil:
		b.open = e.Decide
		return nil
	case b.open == nil || e.Final.Hash() != b.open.Hash():
		return fmt.Errorf("%w: number %d is certified, but not decided before", ErrInvalid, e.Final.Seq)
	}
	b.open = nil
	return b.committed(e.Final)
}

// Do feeds the machine with events and certifies whatever is due then. After an error of the log, the next call goes on
// where this one stopped.
func (b *Member) Do(ctx context.Context, events func(*Rounds)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	events(b.rounds)
	for {
		if err := b.finish(ctx); err != nil {
			return err
		}
		body, due := b.rounds.Next()
		if !due {
			return nil
		}
		if err := b.decide(ctx, &body); err != nil {
			return err
		}
	}
}

// decide puts a body into the log. From then on nothing else can have its number.
func (b *Member) decide(ctx context.Context, body *Body) error {
	if err := b.rounds.chain.CheckBody(body); err != nil {
		return fmt.Errorf("aggregator: refusing to decide: %w", err)
	}
	if err := b.log.Append(ctx, b.last+1, Entry{Decide: body}); err != nil {
		return fmt.Errorf("aggregator: deciding number %d: %w", body.Seq, err)
	}
	b.last++
	b.open = body
	return nil
}

// finish signs the open decision, if there is one, and puts the certificate into the log.
func (b *Member) finish(ctx context.Context) error {
	if b.open == nil {
		return nil
	}
	cert := &Certificate{Body: *b.open, Signatures: []Endorsement{b.signer.SignBody(b.index, b.open)}}
	if err := b.log.Append(ctx, b.last+1, Entry{Final: cert}); err != nil {
		return fmt.Errorf("aggregator: certifying number %d: %w", cert.Seq, err)
	}
	b.last++
	b.open = nil
	return b.committed(cert)
}

func (b *Member) committed(cert *Certificate) error {
	if err := b.rounds.Committed(cert); err != nil {
		return err
	}
	b.out(cert)
	return nil
}
