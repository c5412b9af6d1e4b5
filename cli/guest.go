package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/shards"
)

// guest is a session on a machine that joined a run of somebody else: no committee's seat, no corpus, no certainty that the
// next round will find it here.
type guest struct {
	*session
	addrs  []string
	quota  int64       // bytes of token shards that are kept
	known  bool        // it has been here before, and may go on while the first address is silent
	away   atomic.Bool // the machine's owner has paused it
	stream *stream
}

// patience is how long a guest waits for the first word of the run's peers, and for a block.
const patience = time.Minute

// alone refuses a folder in which another process is at work: two peers with one key would undo each other's work.
func (g *guest) alone(ctx context.Context) error {
	store, err := ipfs.Open(ctx, g.dir.ipfs(), ipfs.Options{})
	if errors.Is(err, checkpoint.ErrInUse) {
		return fmt.Errorf("another skein join is at work in %s: end it, or give this one a folder of its own with --data-dir", g.dir)
	}
	if err != nil {
		return err
	}
	return store.Close()
}

// openRoads starts the guest's peers. Those of an earlier life know more addresses than the one that was given.
func (g *guest) openRoads(ctx context.Context) error {
	err := g.openNodes(ctx, g.addrs...)
	if err != nil && g.known && ctx.Err() == nil && g.workers[len(g.workers)-1].node != nil {
		g.log.Warn("the address is silent; trying the peers of before", "err", err)
		return nil
	}
	return err
}

// present brings the log here up to what the run has certified so far.
func (g *guest) present(ctx context.Context) error {
	g.out.update("asking the run how far it is")
	defer g.out.update("")
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for _, w := range g.workers {
		if _, err := w.node.Present(ctx); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("no peer of the run has answered for %s: check that it is going, or ask its owner for another address", clock(patience))
			}
			return fmt.Errorf("reading the run's log: %w", err)
		}
	}
	return nil
}

// openBlocks opens the guest's store: token shards within the quota, and checkpoints.
func (g *guest) openBlocks(ctx context.Context) error {
	const slack = 32 << 20 // the log and the small files of a checkpoint
	return g.openStore(ctx, g.workers[0].node, g.quota+2*int64(g.checkpointSize())+slack)
}

// openCorpus opens the token shards as a stream of blocks from peers.
func (g *guest) openCorpus(ctx context.Context) error {
	g.out.update("fetching the list of token shards")
	defer g.out.update("")
	folder, err := g.store.Open(ctx, g.manifest.DataCID)
	if err != nil {
		return fmt.Errorf("token shards: %w", err)
	}
	b, err := readAll(folder, shards.ManifestName, shards.MaxManifest)
	if err != nil {
		return fmt.Errorf("token shards: %w", err)
	}
	m, err := shards.DecodeManifest(b)
	if err == nil && m.Hash() != g.manifest.DataHash {
		err = errors.New("they are others than those that the run's owner signed for")
	}
	if err == nil {
		err = fitsModel(g.cfg, m)
	}
	if err != nil {
		return fmt.Errorf("token shards %s: %w: the run's owner must mend this, nothing was trained", g.manifest.DataCID, err)
	}
	g.stream = &stream{folder: folder, manifest: m, log: g.log}
	data, err := shards.OpenFrom(m, g.stream.shard, streamOf(g.cfg))
	if err != nil {
		return err
	}
	g.stream.data = data
	g.corpus = &corpus{cid: g.manifest.DataCID, manifest: m, data: data}
	return nil
}

// readAll reads a whole small file.
func readAll(folder fs.FS, name string, limit int64) ([]byte, error) {
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", name, limit)
	}
	return b, err
}

// openStart says where the workers begin: at their own snapshots, or at the newest checkpoint if that costs fewer bytes to come
// to the present from; else at the first step.
func (g *guest) openStart(ctx context.Context) error {
	newest, err := g.newest(ctx)
	if err != nil {
		return err
	}
	for _, w := range g.workers {
		if w.resume != nil {
			replay, err := g.payloads(ctx, w, aggregator.Seq(w.saved.Load()))
			if err != nil {
				return err
			}
			rest, err := g.payloads(ctx, w, newest.Seq)
			if err != nil {
				return err
			}
			if newest.CID == "" || replay <= rest+g.checkpointSize() {
				continue
			}
			w.own, w.resume = *w.resume, nil
		}
		w.fresh.Store(true)
		switch {
		case newest.CID != "":
			w.start, err = g.fetch(ctx, newest)
		case g.manifest.FirstCID != "":
			w.start, err = g.fetchFirst(ctx)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// payloads is the size in bytes of what was counted after a round.
func (g *guest) payloads(ctx context.Context, w *worker, after aggregator.Seq) (sum uint64, err error) {
	for n := after + 1; n <= w.node.Tip(); n++ {
		c, err := w.node.Certificate(ctx, n)
		if err != nil {
			return 0, err
		}
		for _, e := range c.List {
			sum += e.Size
		}
	}
	return sum, nil
}

// checkpointSize is about what a checkpoint of the run has, in bytes.
func (g *guest) checkpointSize() uint64 {
	slots := g.method.Outer(g.layout, g.layout.Fragments()[0]).Slots()
	return 4 * uint64(g.layout.Len()) * uint64(1+slots)
}

// newest is the last checkpoint that the log announces, or the one before if a part of that is here already: the run still keeps
// it, and a download that was broken off by a crash should not begin again because the run has gone on.
func (g *guest) newest(ctx context.Context) (last aggregator.Announcement, err error) {
	var before aggregator.Announcement
	x := g.workers[0].node
	for n := range x.Tip() + 1 {
		c, err := x.Certificate(ctx, n)
		if err != nil {
			return last, err
		}
		if c.Announce.CID != "" {
			before, last = last, c.Announce
		}
	}
	begun, err := g.store.Partials(ctx)
	if err == nil && slices.Contains(begun, before.CID) && !slices.Contains(begun, last.CID) {
		return before, nil
	}
	return last, err
}

// fetch brings a checkpoint here and checks it: blocks against the CID, the state against the signed log.
func (g *guest) fetch(ctx context.Context, a aggregator.Announcement) (*aggregator.Shared, error) {
	defer g.out.update("")
	limit := g.largest()
	got, err := g.store.Fetch(ctx, a.CID, ipfs.FetchOptions{MaxBytes: limit, Idle: patience, Progress: func(done, total int64) {
		g.out.update("fetching the checkpoint of round %d: %s of %s", a.Seq, humanize.Bytes(uint64(done)), humanize.Bytes(uint64(total)))
	}})
	if err != nil {
		return nil, fmt.Errorf("the checkpoint of round %d: %w", a.Seq, err)
	}
	g.out.update("checking the checkpoint of round %d", a.Seq)
	folder, err := g.store.Open(ctx, a.CID)
	if err != nil {
		return nil, err
	}
	c, err := checkpoint.Read(folder, limit)
	if err == nil {
		_, err = checkpoint.Check(c)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("the checkpoint of round %d is not sound: %w; wait for the next one, or tell the run's owner", a.Seq, err)
	case c.Manifest.Hash() != g.manifest.Hash() || c.Seq != a.Seq:
		return nil, fmt.Errorf("the checkpoint that the log announces for round %d is of run %s, round %d: tell the run's owner", a.Seq, c.Manifest.Hash().Short(), c.Seq)
	}
	if err := g.keep(ctx, a.CID); err != nil {
		return nil, err
	}
	g.out.line("start   round %d, from checkpoint %s (%s fetched)", a.Seq, a.CID, humanize.Bytes(uint64(got.Bytes)))
	return &aggregator.Shared{Seq: c.Seq, Anchor: c.Anchor, Outer: c.Outer}, nil
}

// keep holds on to a checkpoint, so that other joiners get it from here too, and lets go of those before it.
func (g *guest) keep(ctx context.Context, cid string) error {
	pins, err := g.store.Pins(ctx)
	if err != nil {
		return err
	}
	begun, err := g.store.Partials(ctx)
	if err != nil {
		return err
	}
	for _, p := range pins {
		begun = append(begun, p.CID)
	}
	if err := g.store.Pin(ctx, cid, "checkpoint"); err != nil {
		return err
	}
	for _, old := range begun {
		if old != cid {
			if err := g.store.Unpin(ctx, old); err != nil {
				return err
			}
		}
	}
	_, err = g.store.Collect(ctx)
	return err
}

// largest bounds a checkpoint of this run, in bytes: its vectors, and the log with the small files.
func (g *guest) largest() int64 { return int64(g.checkpointSize()) + 1<<30 }

// settle has the workers ask for seats, not before they have folded what is certified already: a seat that is not used costs
// everybody a deadline.
func (g *guest) settle(context.Context) error {
	g.onLanding = func(w *worker, l aggregator.Landing) { g.catchUp(w, l.Certificate.Seq) }
	g.remark, g.mend = g.standing, g.repair
	for _, w := range g.workers {
		g.catchUp(w, w.loop.State().Seq)
	}
	return nil
}

// catchUp lets a worker ask for a seat once it has folded the whole log.
func (g *guest) catchUp(w *worker, at aggregator.Seq) {
	if at >= w.node.Tip() && !g.away.Load() && !w.present.Swap(true) {
		w.exchange.Resume()
	}
}

// repair takes a worker that cannot follow the log any more to the newest checkpoint: the swarm has gone on without it for too
// long, or its state is not the certified one.
func (g *guest) repair(ctx context.Context, w *worker, broken error) error {
	if !errors.Is(broken, aggregator.ErrGone) && !errors.Is(broken, aggregator.ErrDiverged) {
		return broken
	}
	newest, err := g.newest(ctx)
	if err != nil {
		return errors.Join(broken, err)
	}
	if newest.CID == "" || newest.Seq <= w.loop.State().Seq {
		return broken
	}
	g.log.Warn("starting again from the newest checkpoint", "worker", w.name, "round", newest.Seq, "because", broken)
	w.present.Store(false)
	w.exchange.Pause()
	w.resume = nil
	if w.start, err = g.fetch(ctx, newest); err != nil {
		return err
	}
	if err := g.openLoop(ctx, w); err != nil {
		return err
	}
	g.catchUp(w, newest.Seq)
	return nil
}

// attend keeps the status line until all workers are through and the committee has closed the run.
func (g *guest) attend(ctx context.Context) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	defer g.out.update("")
	last, lonely := g.manifest.Schedule.Rounds(), solitude{}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case now := <-tick.C:
			if lonely.since(now, g.lead().node.Peers()) {
				g.out.line("no peer of the run has been reachable for %s: dialling on; nothing is lost, Ctrl+C leaves", clock(alone))
			}
		}
		if err := g.broken(); err != nil {
			return err
		}
		if g.lead().node.Tip() > last { // the closing certificate
			return nil
		}
		g.out.update("%s%s", statusLine(g.manifest.Schedule, g.furthest(), len(g.workers), nil), g.mood())
	}
}

// alone is how long a guest is without peers before it says so.
const alone = 30 * time.Second

// solitude notices when a guest has been without peers for long.
type solitude struct {
	start time.Time
	told  bool
}

// since reports, once each time, that there have been no peers for as long as it takes to say so.
func (s *solitude) since(now time.Time, peers int) bool {
	switch {
	case peers > 0:
		*s = solitude{}
	case s.start.IsZero():
		s.start = now
	case !s.told && now.Sub(s.start) >= alone:
		s.told = true
		return true
	}
	return false
}

// mood is what a guest is doing besides training.
func (g *guest) mood() string {
	switch w := g.lead(); {
	case g.away.Load():
		return "  paused"
	case w.node.Peers() == 0:
		return "  no peers, dialling"
	case !w.exchange.Seated():
		return "  waiting for a seat"
	}
	return ""
}

// pause takes the workers off the roster, or asks for their seats again.
func (g *guest) pause(on bool) {
	if g.away.Swap(on) == on {
		return
	}
	for _, w := range g.workers {
		switch {
		case w.gone.Load():
		case on:
			w.exchange.Pause()
		case w.present.Load():
			w.exchange.Resume()
		}
	}
	if on {
		g.out.line("paused: what was done is sent, nothing is computed; the run goes on without this machine")
	} else {
		g.out.line("resumed: training from the next round on")
	}
}

// leave says goodbye, so that nobody waits for this machine. What it owes is sent or declared absent.
func (g *guest) leave() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var errs []error
	for _, w := range g.workers {
		if w != nil && w.exchange != nil {
			errs = append(errs, w.exchange.Leave(ctx))
		}
	}
	return errors.Join(errs...)
}

// stream reads token shards as blocks from peers, and gets them here before they are needed.
type stream struct {
	folder   fs.FS
	manifest *shards.Manifest
	data     *shards.Dataset
	log      interface{ Warn(string, ...any) }
	ahead    atomic.Pointer[context.CancelFunc] // of the prefetch under way
}

// shard opens one shard of the folder.
func (s *stream) shard(i int) (io.ReaderAt, error) {
	f, err := s.folder.Open(s.manifest.Shards[i].File)
	if err != nil {
		return nil, err
	}
	r, ok := f.(ipfs.File)
	if !ok {
		return nil, fmt.Errorf("%s is no file", s.manifest.Shards[i].File)
	}
	return r, nil
}

// expect gets the sequences from start on here in the background. What was expected before is no longer.
func (s *stream) expect(ctx context.Context, start, count uint64) {
	ctx, cancel := context.WithCancel(ctx)
	if before := s.ahead.Swap(&cancel); before != nil {
		(*before)()
	}
	go func() {
		defer cancel()
		for _, r := range s.data.Needs(start, count) {
			f, err := s.shard(r.Shard)
			if err == nil {
				err = f.(ipfs.File).Prefetch(ctx, []ipfs.Range{{Off: r.Lo, Len: r.Hi - r.Lo}})
			}
			if err != nil {
				if ctx.Err() == nil { // the reader will ask again, and say what is wrong
					s.log.Warn("fetching token shards ahead of time", "err", err)
				}
				return
			}
		}
	}()
}

func joinLines(lines []string) string { return strings.Join(lines, "\n") + "\n" }

func splitLines(text string) []string { return strings.Split(strings.TrimSpace(text), "\n") }

// anyOf says whether a and b share an element.
func anyOf(a, b []string) bool {
	for _, x := range a {
		for _, y := range b {
			if x == y {
				return true
			}
		}
	}
	return false
}
