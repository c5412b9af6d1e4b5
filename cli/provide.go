package cli

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/swarm"
)

// provider tells the public IPFS network that this machine has a run's token shards and newest checkpoints: their roots only,
// which is what others look for. Failures are told of, and tried again.
type provider struct {
	node        *swarm.Node
	introducers []string
	log         *slog.Logger

	mu    sync.Mutex
	roots []string             // CIDs: the token shards, then checkpoints by round
	told  map[string]time.Time // when, by root

	wake chan struct{}
	stop context.CancelFunc
	task sync.WaitGroup
}

const (
	providePatience = 5 * time.Minute // for one root
	provideAgain    = 22 * time.Hour  // before the records, which are kept for 48 h, fade
	provideLook     = time.Hour       // between looks at what has to be told again
)

// openProvider begins to tell of what earlier lives have left, if the run file wants it.
func (s *session) openProvider(ctx context.Context) error {
	if !s.cfg.Checkpoint.Provide {
		return nil
	}
	records, err := checkpoint.OpenIndex(s.dir.checkpoints()).Records()
	if err != nil {
		return err
	}
	introducers := s.introducers
	if introducers == nil {
		introducers = swarm.PublicDHT()
	}
	s.provider = &provider{node: s.seat.node, introducers: introducers, log: s.log, roots: []string{s.corpus.cid}, told: map[string]time.Time{}, wake: make(chan struct{}, 1)}
	for _, r := range records[max(0, len(records)-s.cfg.Checkpoint.Keep):] {
		s.provider.roots = append(s.provider.roots, r.CID)
	}
	ctx, s.provider.stop = context.WithCancel(context.WithoutCancel(ctx))
	s.provider.task.Go(func() { s.provider.run(ctx) })
	return nil
}

// publish tells of a new checkpoint, and of the oldest no more. It returns at once; a nil provider does nothing.
func (p *provider) publish(cid string, keep int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	p.roots = append(slices.DeleteFunc(p.roots, func(r string) bool { return r == cid }), cid)
	if extra := len(p.roots) - 1 - keep; extra > 0 {
		for _, old := range p.roots[1 : 1+extra] {
			delete(p.told, old)
		}
		p.roots = slices.Delete(p.roots, 1, 1+extra)
	}
	p.mu.Unlock()
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// close gives up what is under way.
func (p *provider) close() {
	if p != nil {
		p.stop()
		p.task.Wait()
	}
}

func (p *provider) run(ctx context.Context) {
	look := time.NewTicker(provideLook)
	defer look.Stop()
	for {
		for root := p.next(); root != ""; root = p.next() {
			if ctx.Err() != nil {
				return
			}
			p.provide(ctx, root)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
		case <-look.C:
		}
	}
}

// next is a root that has to be told, or "". It counts as told from then on: a failure waits its turn.
func (p *provider) next() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.roots {
		if at, told := p.told[r]; !told || time.Since(at) > provideAgain {
			p.told[r] = time.Now()
			return r
		}
	}
	return ""
}

func (p *provider) provide(ctx context.Context, root string) {
	bounded, cancel := context.WithTimeout(ctx, providePatience)
	defer cancel()
	hash, err := ipfs.HashOf(root)
	if err == nil {
		_, err = p.node.Provide(bounded, hash, p.introducers)
	}
	if err == nil || ctx.Err() != nil {
		return
	}
	p.log.Warn("the public IPFS network is not told who has this; tried again in an hour", "cid", root, "because", err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.told[root] = time.Now().Add(provideLook - provideAgain)
}
