package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/checkpoint/remote"
	"github.com/skein-train/skein/checkpoint/snapshot"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/swarm"
)

// session is one life of a run on this machine: the local workers, the store, and what they share. On the machine that started
// the run it holds the committee's seat too.
type session struct {
	cfg    configs.Config
	dir    runDir
	out    *console
	log    *slog.Logger
	corpus *corpus
	parts
	rate      func(step uint64) float32 // the inner learning rate
	manifest  aggregator.SignedManifest
	store     *ipfs.Store
	tokenizer checkpoint.Tokenizer
	caps      *swarm.Caps
	first     first
	seat      *seat            // nil on a machine that joined
	services  []*remote.Client // of checkpoint.remote, in its order
	mirrors   mirrors
	provider  *provider // nil if nobody is told
	workers   []*worker
	cores     cores
	report    *reporter
	fault     *fault
	tempo     *tempo // of an asynchronous run whose workers keep pace; else nil

	introducers []string // to the hash table that the provider tells; nil: the public one's

	newExchange func(*swarm.Node) (*swarm.Exchange, error) // of a worker

	// onLanding, if set, is called after every landing of a worker, remark adds a word to the line of a round, and paused
	// says whether the machine's owner wants it back; expect is told which step and which sequences of the data stream come next.
	// mend makes a worker whose loop has broken fit for another one, or returns the error that ends it.
	onLanding func(*worker, aggregator.Landing)
	remark    func(context.Context, aggregator.Landing) string
	paused    func() bool // nil: never
	expect    func(w *worker, first, start, count uint64)
	mend      func(ctx context.Context, w *worker, broken error) error
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
	resume    *aggregator.Snapshot // of an earlier life
	start     *aggregator.Shared   // a checkpoint's state, where there is no earlier life
	own       aggregator.Snapshot  // of an earlier life that a checkpoint has overtaken: its moments are still good
	loop      *aggregator.Worker
	step      atomic.Uint64 // the last inner step taken
	fresh     atomic.Bool   // it has neither an earlier life nor trained in this one
	present   atomic.Bool   // it has folded all of the log that there was when it came
	gone      atomic.Bool   // it takes part no more, while others may: see lose

	saved, older atomic.Uint64 // rounds of the last snapshot and of the one before it
}

// open takes the steps that bring a session up, in their order.
func open(ctx context.Context, steps ...func(context.Context) error) error {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) openParts(context.Context) (err error) {
	if s.parts, err = partsOf(s.cfg); err != nil {
		return err
	}
	s.rate, err = rateOf(s.cfg)
	s.cores, s.tempo = newCores(s.cfg), tempoOf(s.cfg)
	s.caps = swarm.NewCaps(uint64(s.cfg.Swarm.Up), uint64(s.cfg.Swarm.Down))
	return err
}

// openKeys gives the local workers their identities.
func (s *session) openKeys(context.Context) (err error) {
	s.workers = make([]*worker, s.cfg.Swarm.LocalWorkers)
	for i := range s.workers {
		w := &worker{name: workerName(i)}
		s.workers[i] = w
		if w.signer, w.seed, err = s.key(w.name); err != nil {
			return err
		}
	}
	return nil
}

// openReplicas builds the local workers' models.
func (s *session) openReplicas(context.Context) error {
	var g errgroup.Group
	for i, w := range s.workers {
		g.Go(func() (err error) {
			w.replica, err = newReplica(s.cfg, i, s.corpus.data)
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
		_, _, n, err := w.resume.Private()
		if err != nil {
			return fmt.Errorf("worker %s: %w", w.name, err)
		}
		w.saved.Store(uint64(n))
	}
	return nil
}

// listen starts a peer of this machine.
func (s *session) listen(ctx context.Context, name string, seed [32]byte) (*swarm.Node, error) {
	return swarm.Listen(ctx, swarm.Options{
		Seed: seed, Listen: s.addresses(name), Run: &s.manifest, Welcome: s.cfg.Recipe(), Dir: s.dir.node(name), MaxPayload: s.gate.limit,
		Log: s.log.With("peer", name), Caps: s.caps, Moments: s.moments(name),
		Announce: s.announcement(name),
	})
}

// addresses are where a peer of this machine listens: the first one where the run file says, which others are told, the rest at
// free ports beside it.
func (s *session) addresses(name string) []string {
	if name == seatName || s.seat == nil && name == workerName(0) {
		return s.cfg.Swarm.Listen
	}
	return freePorts(s.cfg.Swarm.Listen)
}

// freePorts are addresses to listen on, valid ones, with any free port in place of a certain one.
func freePorts(addrs []string) (out []string) {
	for _, a := range addrs {
		part := strings.Split(a, "/") // "", ip4, address, tcp, port, …
		part[4] = "0"
		out = append(out, strings.Join(part, "/"))
	}
	return out
}

// announcement is the name under which the local network hears of the run: from the committee's peer, if others can dial it.
func (s *session) announcement(name string) string {
	if name == seatName && slices.ContainsFunc(s.cfg.Swarm.Listen, func(a string) bool { return !loopback(a) }) {
		return s.cfg.Name
	}
	return ""
}

// openNodes starts a peer for each local worker and introduces it to the peers at the addresses, and to those before it.
func (s *session) openNodes(ctx context.Context, addrs ...string) (err error) {
	for i, w := range s.workers {
		if w.node, err = s.listen(ctx, w.name, w.seed); err != nil {
			return err
		}
		if len(addrs) > 0 {
			if err := w.node.Connect(ctx, addrs); err != nil {
				return fmt.Errorf("worker %s: %w", w.name, err)
			}
		}
		for _, other := range s.workers[:i] {
			if err := w.node.Connect(ctx, nearby(other.node.Addrs())); err != nil {
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

// openLoops gives every local worker its road into the swarm and the loop over it.
func (s *session) openLoops(ctx context.Context) (err error) {
	for _, w := range s.workers {
		if w.exchange, err = s.newExchange(w.node); err != nil {
			return err
		}
		w.timed = &timed{Exchange: w.exchange}
		if err := s.openLoop(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) openLoop(ctx context.Context, w *worker) error {
	genesis, err := w.exchange.Genesis(ctx)
	if err != nil {
		return err
	}
	if w.loop, err = aggregator.NewWorker(s.options(w, genesis)); err != nil {
		return fmt.Errorf("worker %s: %w", w.name, err)
	}
	return nil
}

func (s *session) openReport(context.Context) (err error) {
	s.report, err = newReporter(s)
	return err
}

func (s *session) options(w *worker, genesis *aggregator.Certificate) aggregator.Options {
	model := paced{replica: w.replica, cores: s.cores, step: &w.step}
	if s.expect != nil {
		model.expect = func(first, start, count uint64) { s.expect(w, first, start, count) }
	}
	return aggregator.Options{
		Pace: s.tempo.of(w.signer.ID), Manifest: &s.manifest.Manifest, Genesis: genesis, Signer: w.signer, Method: s.method, Layout: s.layout,
		Replica: model, Exchange: w.timed, Assign: shards.Assign, Resume: w.resume, Start: w.start, Paused: s.paused,
		Landed: func(ctx context.Context, l aggregator.Landing) error { return s.landed(ctx, w, l) },
	}
}

// landed is what happens on this machine after a round has landed on a worker: the private snapshot, and the report
// if it is this worker's to make.
func (s *session) landed(ctx context.Context, w *worker, l aggregator.Landing) error {
	n := l.Certificate.Seq
	if s.onLanding != nil {
		s.onLanding(w, l)
	}
	if s.report.reports(w, l) {
		if err := s.report.landed(ctx, w, l); err != nil {
			return err
		}
	}
	if uint64(n)%uint64(s.cfg.Checkpoint.Snapshot) == 0 || n == s.manifest.Schedule.Rounds() {
		if err := w.save(l); err != nil {
			return err // it names the file, the loop the round and the worker
		}
		if err := s.prune(); err != nil {
			return err
		}
	}
	return s.fault.after(w, n)
}

// save writes the private snapshot. What the snapshot before it needs stays on the disk, in case this one gets damaged.
func (w *worker) save(l aggregator.Landing) error {
	p := l.Worker.Snapshot()
	if err := w.replica.Err(); err != nil {
		return err // and keep the older snapshot: this one was read from a device that is gone
	}
	if err := w.snapshots.Save(p.Header, p.Vectors); err != nil {
		return err
	}
	older := w.saved.Swap(uint64(l.Certificate.Seq))
	w.older.Store(older)
	return w.exchange.Prune(aggregator.Seq(older) + 1)
}

// prune drops the payloads that neither a local worker nor a joiner may have to replay: those of rounds that all snapshots
// hold and the last but one checkpoint of the log as well.
func (s *session) prune() error {
	if s.seat == nil {
		return nil
	}
	first := aggregator.Seq(s.report.older.Load()) + 1
	for _, w := range s.workers {
		first = min(first, aggregator.Seq(w.older.Load())+1)
	}
	return s.seat.node.Prune(first)
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
	s.mirrors.close(s.dir.command("checkpoint pin"))
	s.provider.close()
	if s.store != nil {
		err = errors.Join(err, s.store.Close())
	}
	if s.seat != nil {
		err = errors.Join(err, s.seat.close())
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
	if s.seat != nil {
		err = errors.Join(err, s.seat.closeLog())
	}
	if s.report != nil {
		err = errors.Join(err, s.report.file.close())
	}
	if s.corpus != nil {
		err = errors.Join(err, s.corpus.close())
	}
	return err
}
