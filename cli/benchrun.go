package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer/optim"
)

// train simulates one run, with real training. That training runs away is an outcome, not an error.
func (m *matrix) train(ctx context.Context, j job, progress func(part float64)) (o bench.Outcome, err error) {
	c := j.config
	made, err := prepareCorpus(ctx, c, m.runs, m.out)
	if err != nil {
		return o, err
	}
	defer func() { err = errors.Join(err, made.close()) }()
	s := &sampled{cfg: c, corpus: made, progress: progress, Outcome: bench.Outcome{
		Cell: j.cell.Label, Against: j.cell.Against, Seed: j.seed, Method: c.Outer.Method, Codec: c.Sync.Codec, Workers: c.Swarm.LocalWorkers, Every: uint64(c.Sync.Every),
		Steps: uint64(c.Train.Steps),
	}}
	defer s.close()
	began := time.Now()
	err = s.simulate(ctx, m.plan(j, 0))
	s.Seconds = time.Since(began).Seconds()
	if err == nil {
		s.ValLoss, err = s.evaluate(ctx, m.Eval)
	}
	if errors.Is(err, aggregator.ErrUnstable) || errors.Is(err, optim.ErrNotFinite) {
		s.Error, s.ValLoss, err = err.Error(), 0, nil // there is no JSON for what is no number
	}
	return s.Outcome, err
}

// sampled is one simulated run and what is noted of it.
type sampled struct {
	bench.Outcome
	cfg      configs.Config
	corpus   *corpus
	parts    parts
	replicas []*replica
	witness  int           // the worker that is looked at: the first one that stays to the end
	last     gradients.Vec // the parameters at the end
	progress func(part float64)
}

func (s *sampled) close() {
	for _, r := range s.replicas {
		if r != nil {
			r.close()
		}
	}
}

// replica is a worker's model, new in each of its lives.
func (s *sampled) replica(worker int) (aggregator.Replica, error) {
	r, err := newReplica(s.cfg, 0, s.corpus.data)
	if err != nil {
		return nil, err
	}
	if old := s.replicas[worker]; old != nil {
		old.close()
	}
	s.replicas[worker] = r
	return r, nil
}

// simulate trains to the end, with the hosts, the dealing and the accidents of the plan.
func (s *sampled) simulate(ctx context.Context, plan bench.Options) (err error) {
	if s.parts, err = partsOf(s.cfg); err != nil {
		return err
	}
	s.replicas = make([]*replica, s.Workers)
	for slices.ContainsFunc(plan.Faults, func(f bench.Fault) bool { return f.Worker == s.witness && f.Kind == "kill" }) && s.witness < s.Workers-1 {
		s.witness++
	}
	terms := benchTerms(s.cfg, s.parts)
	terms.DataHash, terms.Sequences = s.corpus.manifest.Hash(), s.corpus.data.Windows()
	s.Params = s.parts.layout.Len()
	plan.Manifest, plan.Method, plan.Layout, plan.Cores = terms, s.parts.method, s.parts.layout, benchCores(s.Workers)
	plan.Replica = s.replica
	plan.Landed = s.landed
	result, err := bench.Simulate(ctx, plan)
	if err != nil {
		return err
	}
	s.Root, s.Payload = result.Root.String(), slices.Max(result.Payload)
	if s.cfg.Outer.Method == "async" { // means, since the schedule's steps are those of all workers together
		s.Payload, s.Steps = 0, s.Tokens/uint64(s.cfg.Train.BatchSize*s.cfg.Data.SeqLen*s.Workers)
		for _, bytes := range result.Payload {
			s.Payload += bytes / int64(len(result.Payload))
		}
	}
	return nil
}

func benchTerms(c configs.Config, p parts) aggregator.Manifest {
	t := terms(c)
	t.Parameters, t.LayoutHash = uint64(p.layout.Len()), aggregator.LayoutHash(p.layout)
	return t
}

// landed notes what the witness sees.
func (s *sampled) landed(ctx context.Context, worker int, _ time.Duration, l aggregator.Landing) error {
	if worker != s.witness {
		return nil
	}
	s.progress(float64(l.Step) / float64(s.cfg.Train.Steps))
	anchor := l.Worker.State().Anchor
	p := bench.Point{Round: uint64(l.Certificate.Seq), Step: l.Step, Loss: float64(l.Tally.Mean())}
	if every := uint64(s.cfg.Eval.Every); every > 0 && p.Round%every == 0 {
		if n := min(s.corpus.data.Validations(), s.cfg.Eval.Batches*s.cfg.Train.MicroBatchSize); n > 0 {
			loss, err := s.replicas[s.witness].Evaluate(ctx, anchor, 0, n)
			if err != nil {
				return err
			}
			if err := finite(loss); err != nil {
				return err
			}
			p.Val = &loss
		}
	}
	for i := range l.Certificate.List {
		e := &l.Certificate.List[i]
		p.Tokens += e.Weight
		if e.Slot == aggregator.Slot(s.witness) {
			p.Payload = int64(e.Size)
		}
	}
	if n := len(s.Points); n > 0 {
		p.Payload += s.Points[n-1].Payload
		p.Tokens += s.Points[n-1].Tokens
	}
	s.Tokens = p.Tokens
	s.Points = append(s.Points, p)
	switch c, err := s.parts.cosine(ctx, l.Worker.Exchange, l); {
	case err != nil:
		return err
	case c != nil:
		s.Cosine = append(s.Cosine, *c)
	}
	s.last = append(s.last[:0], anchor...)
	return nil
}

// evaluate is the loss of the final parameters on so many batches of the validation split, or on all of it.
func (s *sampled) evaluate(ctx context.Context, batches int) (float64, error) {
	n := s.corpus.data.Validations()
	if batches > 0 {
		n = min(n, batches*s.cfg.Train.MicroBatchSize)
	}
	if n == 0 {
		return 0, errors.New("there is no validation split: set data.val_fraction")
	}
	loss, err := s.replicas[s.witness].Evaluate(ctx, s.last, 0, n)
	if err == nil {
		err = finite(loss)
	}
	return loss, err
}

// finite refuses what JSON cannot carry.
func finite(loss float64) error {
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		return fmt.Errorf("%w: the validation loss is %v", aggregator.ErrUnstable, loss)
	}
	return nil
}

// rehearse is a simulation without training, for runs whose order hangs on the network: contributions are noise of the right size.
func rehearse(ctx context.Context, c configs.Config, plan bench.Options) (*bench.Result, error) {
	p, err := partsOf(c)
	if err != nil {
		return nil, err
	}
	terms := benchTerms(c, p)
	terms.Sequences = math.MaxUint32
	plan.Manifest, plan.Method, plan.Layout, plan.Cores = terms, p.method, p.layout, 1
	plan.Replica = func(int) (aggregator.Replica, error) { return stand{p.layout.Len()}, nil }
	return bench.Simulate(ctx, plan)
}

// stand stands in for a replica where only bytes and time are asked for.
type stand struct{ n int }

// Len implements aggregator.Replica.
func (s stand) Len() int { return s.n }

// Begin implements aggregator.Replica.
func (stand) Begin(_, _, _ uint64) error { return nil }

// Step implements aggregator.Replica.
func (stand) Step(context.Context) (float64, error) { return 0, nil }

// Delta implements aggregator.Replica: it is noise, so that an entropy stage has something to do.
func (stand) Delta(dst, _ gradients.Vec, _ gradients.Fragment) {
	x := uint32(1)
	for i := range dst {
		x = x*1664525 + 1013904223
		dst[i] = float32(int32(x)) * 1e-13
	}
}

// Read implements aggregator.Replica.
func (stand) Read(dst gradients.Vec, _ gradients.Fragment) { clear(dst) }

// Write implements aggregator.Replica.
func (stand) Write(gradients.Vec, gradients.Fragment) {}

// Class implements aggregator.Replica.
func (stand) Class() uint16 { return 0 }

// Save implements aggregator.Replica.
func (stand) Save() ([]gradients.Vec, []uint64) { return nil, nil }

// Load implements aggregator.Replica.
func (stand) Load([]gradients.Vec, []uint64) error { return nil }
