package cli

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/swarm"
)

// openStore opens the run's blocks and puts them online at a peer of this machine: what they hold is served there, and what
// they lack is asked for.
func (s *session) openStore(ctx context.Context, at *swarm.Node, quota int64) (err error) {
	s.store, err = ipfs.Open(ctx, s.dir.ipfs(), ipfs.Options{Exchange: ipfs.Bitswap(at.Host()), Extra: at.Payload, Quota: quota, Wait: patience})
	return err
}

func (s *session) openTokenizer(context.Context) error {
	tokenizer, err := shards.NewTokenizer(s.cfg.Data.Tokenizer)
	if err != nil {
		return err
	}
	s.tokenizer, err = checkpoint.NewTokenizer(tokenizer)
	return err
}

// publish makes the state at rest a checkpoint: written, pinned, listed, and announced in the log.
func (s *session) publish(ctx context.Context, w *worker, l aggregator.Landing, loss *float64) (cid string, err error) {
	n := l.Certificate.Seq
	certificates, err := certificatesUpTo(ctx, w.exchange, n)
	if err != nil {
		return "", err
	}
	index := checkpoint.OpenIndex(s.dir.checkpoints())
	parent, err := parentOf(index, n)
	if err != nil {
		return "", err
	}
	state := l.Worker.State()
	model := s.cfg.Model
	model.VocabSize = modelOf(s.cfg, vocabOf(s.cfg)).VocabSize
	model.MaxPositions = cmp.Or(model.MaxPositions, s.cfg.Data.SeqLen)
	cid, err = checkpoint.Keeper{Store: s.store, Index: index, Keep: s.cfg.Checkpoint.Keep}.Publish(ctx, &checkpoint.Checkpoint{
		Manifest: s.manifest, Certificates: certificates, Recipe: s.cfg.Recipe(), Model: model, Tokenizer: s.tokenizer,
		Layout: s.layout, Seq: n, Step: l.Step, Anchor: state.Anchor, Outer: state.Outer, Root: l.Worker.Root(), Parent: parent,
	}, checkpoint.Record{Loss: loss, Time: time.Now()})
	if err != nil {
		return "", err
	}
	s.mirrors.publish(cid, checkpoint.PinName(s.manifest.Hash(), n))
	s.provider.publish(cid, s.cfg.Checkpoint.Keep)
	return cid, s.seat.members.Announce(n, cid)
}

// certificatesUpTo reads the log from the genesis to round n.
func certificatesUpTo(ctx context.Context, x interface {
	Genesis(context.Context) (*aggregator.Certificate, error)
	Next(context.Context, aggregator.Seq) (*aggregator.Certificate, error)
}, n aggregator.Seq) ([]*aggregator.Certificate, error) {
	genesis, err := x.Genesis(ctx)
	if err != nil {
		return nil, err
	}
	out := []*aggregator.Certificate{genesis}
	for after := range n {
		c, err := x.Next(ctx, after)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// parentOf is the CID of the newest checkpoint before round n.
func parentOf(index *checkpoint.Index, n aggregator.Seq) (cid string, err error) {
	records, err := index.Records()
	for _, r := range records {
		if r.Seq < n {
			cid = r.CID
		}
	}
	return cid, err
}

// loadModel reads the recipe and the parameters of a run's newest checkpoint, or of the one with that CID.
func loadModel(ctx context.Context, runs, name string) (configs.Config, gradients.Vec, error) {
	from, cid, err := findCheckpoint(ctx, runs, name)
	if err != nil {
		return configs.Config{}, nil, err
	}
	var folder fs.FS
	if folder, err = from.Open(ctx, cid); err != nil {
		return configs.Config{}, nil, err
	}
	c, err := checkpoint.Read(folder, maxLocal)
	if err != nil {
		return configs.Config{}, nil, err
	}
	cfg, err := configs.ParseRecipe(c.Recipe)
	if err != nil {
		return configs.Config{}, nil, fmt.Errorf("checkpoint %s: %w", cid, err)
	}
	return cfg, c.Anchor, nil
}
