package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/snapshot"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/swarm"
	"github.com/skein-train/skein/trainer"
)

// session is one life of a run on this machine: the committee's seat, the local workers, the store, and what they share.
type session struct {
	cfg       configs.Config
	dir       runDir
	out       *console
	log       *slog.Logger
	data      *shards.Dataset
	dataHash  aggregator.Hash
	layout    gradients.Layout
	method    aggregator.Method
	gate      *gate
	rate      func(step uint64) float32 // the inner learning rate
	manifest  aggregator.SignedManifest
	store     checkpoint.Store
	tokenizer checkpoint.Tokenizer
	seat      *swarm.Node    // the committee's peer
	order     *swarm.BoltLog // the committee's memory
	members   *swarm.Committee
	workers   []*worker
	cores     cores
	report    *reporter
	fault     *fault
}

// worker is one local worker: a replica, a peer of its own, and the loop between them.
type worker struct {
	name      string
	signer    aggregator.Signer
	seed      [32]byte
	replica   *replica
	node      *swarm.Node
	exchange  *swarm.Exchange
	timed     *timed
	snapshots *snapshot.Files
	resume    *aggregator.Snapshot
	loop      *aggregator.Worker
	step      atomic.Uint64 // the last inner step taken

	saved, older atomic.Uint64 // rounds of the last snapshot and of the one before it
}

// open builds everything that the run needs, in the order in which the parts depend on each other.
func (s *session) open(ctx context.Context) (err error) {
	steps := []func(context.Context) error{
		s.openParts, s.openReplicas, s.openSnapshots, s.openManifest, s.openStore, s.openSwarm, s.openReport,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) openParts(context.Context) (err error) {
	if s.layout, err = trainer.LayoutOf(modelOf(s.cfg, s.data.Vocab()), s.cfg.Sync.Fragments); err != nil {
		return err
	}
	if s.rate, err = rateOf(s.cfg); err != nil {
		return err
	}
	if s.method, err = methodOf(s.cfg); err != nil {
		return err
	}
	s.gate, err = newGate(s.method, s.layout)
	s.cores = newCores(s.cfg)
	return err
}

func (s *session) openReplicas(ctx context.Context) error {
	s.workers = make([]*worker, s.cfg.Swarm.LocalWorkers)
	var g errgroup.Group
	for i := range s.workers {
		w := &worker{name: workerName(i)}
		s.workers[i] = w
		g.Go(func() (err error) {
			if w.signer, w.seed, err = s.key(w.name); err != nil {
				return err
			}
			w.replica, err = newReplica(s.cfg, s.data)
			return err
		})
	}
	return g.Wait()
}

// key reads a peer's secret key, or makes it.
func (s *session) key(node string) (aggregator.Signer, [32]byte, error) {
	if err := os.MkdirAll(s.dir.node(node), 0o755); err != nil {
		return aggregator.Signer{}, [32]byte{}, err
	}
	seed, err := swarm.LoadOrCreateSeed(filepath.Join(s.dir.node(node), "key"))
	return aggregator.NewSigner(seed), seed, err
}

// openSnapshots finds where the workers' earlier lives left off.
func (s *session) openSnapshots(context.Context) (err error) {
	for _, w := range s.workers {
		if w.snapshots, err = snapshot.Open(filepath.Join(s.dir.node(w.name), "snapshot")); err != nil {
			return err
		}
		saved, err := w.snapshots.Load()
		switch {
		case errors.Is(err, snapshot.ErrNone):
			continue
		case err != nil:
			return fmt.Errorf("worker %s: %w", w.name, err)
		case saved.Damaged != nil:
			s.log.Warn("one of the two snapshot files is damaged, the other one is used", "worker", w.name, "error", saved.Damaged)
		}
		w.resume = &aggregator.Snapshot{Header: saved.Header, Vectors: saved.Vectors}
	}
	return nil
}

// openManifest writes the run's manifest, or reads the one that an earlier life signed.
func (s *session) openManifest(context.Context) (err error) {
	b, err := os.ReadFile(s.dir.manifest())
	if err == nil {
		if s.manifest, err = aggregator.DecodeManifest(b); err != nil {
			return fmt.Errorf("%s: %w", s.dir.manifest(), err)
		}
		if s.manifest.DataHash != s.dataHash {
			return fmt.Errorf("data.source %s holds another text than when the run was started", s.cfg.Data.Source)
		}
		return nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return err
	}
	owner, _, err := s.key("committee")
	if err != nil {
		return err
	}
	s.manifest = owner.SignManifest(s.describe(owner.ID))
	if err := s.manifest.Validate(); err != nil {
		return err
	}
	return writeFile(s.dir.manifest(), s.manifest.Encode())
}

// describe is the manifest of a new run.
func (s *session) describe(committee aggregator.PeerID) aggregator.Manifest {
	c := s.cfg
	anchor := make(gradients.Vec, s.layout.Len())
	s.workers[0].replica.Read(anchor, gradients.Fragment{Hi: len(anchor)})
	fragments := s.layout.Fragments()
	slots := s.method.Outer(s.layout, fragments[0]).Slots()
	first := aggregator.NewState(anchor, slots, 0, false)
	return aggregator.Manifest{
		Name: c.Name, Seed: c.Seed, Committee: []aggregator.PeerID{committee}, Method: c.Outer.Method, Codec: c.Sync.Codec, Schedule: scheduleOf(c),
		Parameters: uint64(len(anchor)), LayoutHash: aggregator.LayoutHash(s.layout), FirstRoot: aggregator.Root(fragments, first.Anchor, first.Outer),
		DataHash: s.dataHash, RecipeHash: sha256.Sum256(s.cfg.Recipe()),
		BatchSize: uint64(c.Train.BatchSize), SeqLen: uint64(c.Data.SeqLen), Sequences: s.data.Windows(),
		MinPeers: c.Sync.MinPeers, Deadline: aggregator.Millis(c.Sync.Deadline.Milliseconds()), MaxStaleness: aggregator.Seq(c.Sync.MaxStaleness),
	}
}

// openSwarm starts the committee's peer and one peer per worker, and introduces them to each other.
func (s *session) openSwarm(ctx context.Context) (err error) {
	_, seed, err := s.key("committee")
	if err != nil {
		return err
	}
	caps := swarm.NewCaps(uint64(s.cfg.Swarm.Up), uint64(s.cfg.Swarm.Down))
	listen := func(name string, seed [32]byte) (*swarm.Node, error) {
		return swarm.Listen(ctx, swarm.Options{
			Seed: seed, Listen: s.cfg.Swarm.Listen, Run: &s.manifest, Dir: s.dir.node(name), MaxPayload: s.gate.limit,
			Log: s.log.With("peer", name), Caps: caps,
		})
	}
	if s.seat, err = listen("committee", seed); err != nil {
		return err
	}
	if s.order, err = swarm.OpenBoltLog(s.dir.log()); err != nil {
		return err
	}
	var ids []aggregator.PeerID
	for _, w := range s.workers {
		ids = append(ids, w.signer.ID)
	}
	if s.members, err = swarm.NewCommittee(ctx, s.seat, s.order, ids, s.gate.check); err != nil {
		return err
	}
	for i, w := range s.workers {
		if w.node, err = listen(w.name, w.seed); err != nil {
			return err
		}
		if w.exchange, err = swarm.NewExchange(w.node); err != nil {
			return err
		}
		w.timed = &timed{Exchange: w.exchange}
		for _, other := range append([]*swarm.Node{s.seat}, nodes(s.workers[:i])...) {
			if err := w.node.Connect(ctx, nearby(other.Addrs())); err != nil {
				return fmt.Errorf("worker %s: %w", w.name, err)
			}
		}
	}
	return nil
}

// nearby picks the addresses to use inside this machine: TCP over loopback, the cheapest, if the peer listens there.
func nearby(addrs []string) []string {
	for _, a := range addrs {
		if strings.HasPrefix(a, "/ip4/127.0.0.1/tcp/") {
			return []string{a}
		}
	}
	return addrs
}

func nodes(ws []*worker) (out []*swarm.Node) {
	for _, w := range ws {
		out = append(out, w.node)
	}
	return out
}

func (s *session) openReport(ctx context.Context) (err error) {
	genesis, err := s.workers[0].exchange.Genesis(ctx)
	if err != nil {
		return err
	}
	for _, w := range s.workers {
		if w.loop, err = aggregator.NewWorker(s.options(w, genesis)); err != nil {
			return fmt.Errorf("worker %s: %w", w.name, err)
		}
	}
	if s.report, err = newReporter(s); err != nil {
		return err
	}
	if at := s.report.last; at.Checkpoint != "" { // the announcement may have died with an earlier life
		return s.members.Announce(aggregator.Seq(at.Round), at.Checkpoint)
	}
	return nil
}

func (s *session) options(w *worker, genesis *aggregator.Certificate) aggregator.Options {
	return aggregator.Options{
		Manifest: &s.manifest.Manifest, Genesis: genesis, Signer: w.signer, Method: s.method, Layout: s.layout,
		Replica: paced{w.replica, s.cores, &w.step}, Exchange: w.timed, Assign: shards.Assign, Resume: w.resume,
		Landed: func(ctx context.Context, l aggregator.Landing) error { return s.landed(ctx, w, l) },
	}
}

// landed is what happens on this machine after a round has landed on a worker: the private snapshot, and the report
// if it is this worker's to make.
func (s *session) landed(ctx context.Context, w *worker, l aggregator.Landing) error {
	n := l.Certificate.Seq
	if s.report.reports(w, l) {
		if err := s.report.landed(ctx, w, l); err != nil {
			return err
		}
	}
	if uint64(n)%uint64(s.cfg.Checkpoint.Snapshot) == 0 || n == s.manifest.Schedule.Rounds() {
		if err := w.save(l); err != nil {
			return err // it names the file, the loop the round and the worker
		}
		if err := s.seat.Prune(s.oldest()); err != nil {
			return err
		}
	}
	return s.fault.after(w, n)
}

// save writes the private snapshot. What the snapshot before it needs stays on the disk, in case this one gets damaged.
func (w *worker) save(l aggregator.Landing) error {
	p := l.Worker.Snapshot()
	if err := w.snapshots.Save(p.Header, p.Vectors); err != nil {
		return err
	}
	older := w.saved.Swap(uint64(l.Certificate.Seq))
	w.older.Store(older)
	return w.exchange.Prune(aggregator.Seq(older) + 1)
}

// oldest is the first round that a local worker may have to replay.
func (s *session) oldest() aggregator.Seq {
	first := s.manifest.Schedule.Rounds()
	for _, w := range s.workers {
		first = min(first, aggregator.Seq(w.older.Load())+1)
	}
	return first
}

// train runs the workers until all are done, and the committee until it has closed the run.
func (s *session) train(ctx context.Context) error {
	g, inner := errgroup.WithContext(ctx)
	var alive atomic.Int64
	alive.Store(int64(len(s.workers)))
	for _, w := range s.workers {
		g.Go(func() error {
			err := w.loop.Run(inner)
			switch {
			case errors.Is(err, errKilled):
				s.out.line("worker %s was killed by --fault", w.name)
				if alive.Add(-1) == 0 {
					return errors.New("no worker is left")
				}
				return nil
			case err != nil && inner.Err() == nil:
				return fmt.Errorf("worker %s: %w", w.name, err)
			}
			return err
		})
	}
	g.Go(func() error { return s.watch(inner) })
	return g.Wait()
}

// traffic is the mean of the local workers' bytes, from their sockets.
func (s *session) traffic() (sent, received uint64) {
	for _, w := range s.workers {
		up, down := w.node.Traffic()
		sent, received = sent+up, received+down
	}
	n := uint64(len(s.workers))
	return sent / n, received / n
}

// close frees everything; it may be called at any stage of open. The committee's seat goes first and no worker says
// goodbye: the whole run pauses, and on resume everybody is still in the roster.
func (s *session) close() (err error) {
	if s.seat != nil {
		err = errors.Join(err, s.seat.Close())
	}
	for _, w := range s.workers {
		if w == nil {
			continue
		}
		if w.node != nil {
			err = errors.Join(err, w.node.Close())
		}
		if w.replica != nil {
			w.replica.close()
		}
	}
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if s.order != nil {
		err = errors.Join(err, s.order.Close())
	}
	if s.report != nil {
		err = errors.Join(err, s.report.file.close())
	}
	if s.data != nil {
		err = errors.Join(err, s.data.Close())
	}
	return err
}
