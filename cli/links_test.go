package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/swarm"
)

// party is a run whose peers are real but may be anywhere: in one process, or in one each at the ends of shaped links. Everything that
// they have to agree on follows from the run file, keys included, so that nothing is handed around. There are no checkpoints and no
// evaluations: what is left is what a simulation models.
type party struct {
	parts
	cfg      configs.Config
	corpus   *corpus
	replicas []*replica
	manifest aggregator.SignedManifest
}

// openParty builds the run of a file with the replicas of some of its workers.
func openParty(t *testing.T, c configs.Config, runs string, workers ...int) *party {
	t.Helper()
	c.Train.Threads = 1
	p := &party{cfg: c, replicas: make([]*replica, c.Swarm.LocalWorkers)}
	var err error
	if p.corpus, err = prepareCorpus(t.Context(), c, runs, newConsole(t.Output())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.corpus.close() })
	if p.parts, err = partsOf(c); err != nil {
		t.Fatal(err)
	}
	first, err := newReplica(c, 0, p.corpus.data)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(first.close)
	owner := aggregator.NewSigner(seedOf(len(p.replicas)))
	s := session{cfg: c, corpus: p.corpus, parts: p.parts, workers: []*worker{{replica: first}}}
	p.manifest = owner.SignManifest(s.describe(owner.ID))
	for _, i := range workers {
		if p.replicas[i], err = newReplica(c, i, p.corpus.data); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.replicas[i].close)
	}
	return p
}

// seedOf is a peer's secret: that of worker i, or of the committee behind them.
func seedOf(i int) [32]byte { return [32]byte{'p', 'a', 'r', 't', 'y', byte(i)} }

func (p *party) ids() (ids []aggregator.PeerID) {
	for i := range p.replicas {
		ids = append(ids, aggregator.NewSigner(seedOf(i)).ID)
	}
	return ids
}

// listen starts the peer of worker i, or of the committee.
func (p *party) listen(t *testing.T, i int, at, dir string) *swarm.Node {
	t.Helper()
	n, err := swarm.Listen(t.Context(), swarm.Options{
		Seed: seedOf(i), Listen: []string{at}, Run: &p.manifest, Dir: filepath.Join(dir, fmt.Sprint("peer", i)), MaxPayload: p.gate.limit,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	if i == len(p.replicas) {
		if _, err := swarm.NewCommittee(t.Context(), n, aggregator.NewMemoryLog(), p.ids(), p.gate.check); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// labour is what a worker's part in a run took.
type labour struct {
	Root           aggregator.Hash
	Payload        int64           // bytes of its contributions
	Time           time.Duration   // all of it
	Takes          []time.Duration // by inner step: what it did besides waiting for certificates and payloads, encoding and merging included
	Landings       []time.Duration // when each round had landed
	Sent, Received uint64          // bytes, by its sockets
}

// work runs worker i from the first step to the last landing.
func (p *party) work(ctx context.Context, i int, n *swarm.Node) (l labour, err error) {
	x, err := swarm.NewExchange(n)
	if err != nil {
		return l, err
	}
	genesis, err := x.Genesis(ctx)
	if err != nil {
		return l, err
	}
	w := &watched{Exchange: x, Replica: p.replicas[i], last: time.Now()}
	began := w.last
	loop, err := aggregator.NewWorker(aggregator.Options{
		Manifest: &p.manifest.Manifest, Genesis: genesis, Signer: aggregator.NewSigner(seedOf(i)), Method: p.method, Layout: p.layout,
		Replica: w, Exchange: w, Assign: shards.Assign,
		Landed: func(context.Context, aggregator.Landing) error {
			l.Landings = append(l.Landings, time.Since(began))
			return nil
		},
	})
	if err != nil {
		return l, err
	}
	if err := loop.Run(ctx); err != nil {
		return l, err
	}
	l.Time, l.Root, l.Payload, l.Takes = time.Since(began), loop.Root(), w.payload, w.takes
	l.Sent, l.Received = n.Traffic()
	return l, nil
}

// simulate is the same run on modelled links.
func (p *party) simulate(t *testing.T, hosts []bench.Host, seat bench.Host, takes func(worker int, step uint64) time.Duration, landed func(worker int, at time.Duration)) *bench.Result {
	t.Helper()
	r, err := bench.Simulate(t.Context(), bench.Options{
		Manifest: p.manifest.Manifest, Method: p.method, Layout: p.layout, Hosts: hosts, Seat: seat, Assign: shards.Assign, Cores: benchCores(len(hosts)), Takes: takes,
		Replica: func(i int) (aggregator.Replica, error) { return p.replicas[i], nil },
		Landed: func(_ context.Context, worker int, at time.Duration, _ aggregator.Landing) error {
			if landed != nil {
				landed(worker, at)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// watched is a worker's replica and its exchange: it tells what the worker does from what it waits for.
type watched struct {
	aggregator.Replica
	aggregator.Exchange
	payload int64           // bytes offered
	takes   []time.Duration // by inner step
	last    time.Time       // up to here all time is accounted for
}

// mark adds the time since the last mark to the last step.
func (w *watched) mark() {
	now := time.Now()
	if n := len(w.takes); n > 0 {
		w.takes[n-1] += now.Sub(w.last)
	}
	w.last = now
}

// Step implements aggregator.Replica. Merging, which went before, belongs to it.
func (w *watched) Step(ctx context.Context) (float64, error) {
	w.takes = append(w.takes, 0)
	defer w.mark()
	return w.Replica.Step(ctx)
}

// Offer implements aggregator.Exchange. Encoding, which went before, belongs to the step before.
func (w *watched) Offer(ctx context.Context, c aggregator.Contribution) error {
	w.payload += int64(len(c.Bytes))
	w.mark()
	return w.Exchange.Offer(ctx, c)
}

// Next implements aggregator.Exchange.
func (w *watched) Next(ctx context.Context, after aggregator.Seq) (*aggregator.Certificate, error) {
	w.mark()
	defer func() { w.last = time.Now() }()
	return w.Exchange.Next(ctx, after)
}

// Open implements aggregator.Exchange.
func (w *watched) Open(ctx context.Context, h *aggregator.SignedHeader) (io.ReadCloser, error) {
	w.mark()
	defer func() { w.last = time.Now() }()
	return w.Exchange.Open(ctx, h)
}

// A simulation's bytes and its final state are those of real workers on real sockets.
func TestASimulationIsTheRealSwarm(t *testing.T) {
	for _, method := range [][]string{
		{"outer.method=diloco", "sync.codec=int8"},
		{"outer.method=diloco", "sync.codec=e3m0", "sync.fragments=2", "sync.delay=1", "sync.blend=0.5", "model.num_hidden_layers=2"},
		{"outer.method=sparseloco"},
		{"outer.method=ddp", "sync.every=1", "sync.codec=bf16"},
	} {
		t.Run(fmt.Sprint(method), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := furnish(dir, 4); err != nil {
				t.Fatal(err)
			}
			c, err := configs.Load(filepath.Join(dir, "run.yaml"), slices.Concat([]string{"data.source=" + filepath.Join(dir, "text.txt"), "swarm.local_workers=3"}, method))
			if err != nil {
				t.Fatal(err)
			}
			real := openParty(t, c, dir, 0, 1, 2)
			var nodes []*swarm.Node
			for i := range 4 {
				nodes = append(nodes, real.listen(t, i, "/ip4/127.0.0.1/tcp/0", dir))
				for _, other := range nodes[:i] {
					if err := nodes[i].Connect(t.Context(), other.Addrs()); err != nil {
						t.Fatal(err)
					}
				}
			}
			var g sync.WaitGroup
			took := make([]labour, 3)
			for i := range took {
				g.Go(func() {
					var err error
					if took[i], err = real.work(t.Context(), i, nodes[i]); err != nil {
						t.Error(err)
					}
				})
			}
			g.Wait()
			got := openParty(t, c, dir, 0, 1, 2).simulate(t, slices.Repeat([]bench.Host{{Step: time.Second}}, 3), bench.Host{}, nil, nil)
			for i, l := range took {
				if l.Payload != got.Payload[i] || l.Payload == 0 {
					t.Errorf("worker %d offers %d bytes, %d in the simulation", i, l.Payload, got.Payload[i])
				}
				if l.Root != got.Root {
					t.Errorf("worker %d ends at %s, the simulation at %s", i, l.Root.Short(), got.Root.Short())
				}
			}
		})
	}
}

// ends says where the peers of a run on shaped links are, and what the links carry.
type ends struct {
	File      string   // run file
	Overrides []string // of its keys
	Runs      string   // where token shards are kept
	Hosts     []string // addresses to listen on: the workers', then the committee's
	Goodput   float64  // bits per second of payload that a link carries each way, as the simulation is to have it
}

// TestOnLinks is one peer of a run on shaped links, or the simulation of that run: scripts/simulator-against-links calls it in a process for
// each. SKEIN_LINKS names the folder that they share, SKEIN_LINKS_PEER the number of the peer, or it is "model".
func TestOnLinks(t *testing.T) {
	dir := os.Getenv("SKEIN_LINKS")
	if dir == "" {
		t.Skip("scripts/simulator-against-links calls this")
	}
	var e ends
	readJSON(t, filepath.Join(dir, "ends.json"), &e)
	c, err := configs.Load(e.File, e.Overrides)
	if err != nil {
		t.Fatal(err)
	}
	if c.Swarm.LocalWorkers != len(e.Hosts)-1 {
		t.Fatalf("%d workers on %d hosts", c.Swarm.LocalWorkers, len(e.Hosts))
	}
	if os.Getenv("SKEIN_LINKS_PEER") == "model" {
		model(t, e, c, dir)
		return
	}
	i, err := strconv.Atoi(os.Getenv("SKEIN_LINKS_PEER"))
	if err != nil {
		t.Fatal(err)
	}
	workers := []int{i}
	if i == c.Swarm.LocalWorkers {
		workers = nil
	}
	p := openParty(t, c, e.Runs, workers...)
	n := p.listen(t, i, e.Hosts[i], dir)
	gather(t, dir, "address", i, len(e.Hosts), n.Addrs())
	for k := range e.Hosts[:i] {
		var at []string
		readJSON(t, filepath.Join(dir, fmt.Sprint("address", k)), &at)
		if err := n.Connect(t.Context(), at); err != nil {
			t.Fatal(err)
		}
	}
	for n.Peers() < len(e.Hosts)-1 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(time.Until(gather(t, dir, "ready", i, len(e.Hosts), nil).Add(3 * time.Second))) // all start together, when the meshes stand
	var l labour
	if workers != nil {
		if l, err = p.work(t.Context(), i, n); err != nil {
			t.Fatal(err)
		}
	}
	if workers == nil {
		await(filepath.Join(dir, "labour0"))
		l.Sent, l.Received = n.Traffic()
	}
	gather(t, dir, "labour", i, len(e.Hosts), l) // somebody may still need this peer
}

// gather leaves a note for the others in the folder and waits for theirs. It says when the last one was written.
func gather(t *testing.T, dir, name string, i, n int, note any) (last time.Time) {
	t.Helper()
	b, err := json.Marshal(note)
	if err == nil {
		err = writeFile(filepath.Join(dir, fmt.Sprint(name, i)), b)
	}
	if err != nil {
		t.Fatal(err)
	}
	for k := range n {
		if at := await(filepath.Join(dir, fmt.Sprint(name, k))); at.After(last) {
			last = at
		}
	}
	return last
}

// await waits until there is such a file, and says when it was written.
func await(path string) time.Time {
	for {
		if info, err := os.Stat(path); err == nil {
			return info.ModTime()
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// likeness is what came of a real run and its simulation.
type likeness struct {
	Same      bool       // bytes and final state
	Root      string     // of the real run
	Payload   []int64    // bytes that each worker offered
	Time      [2]float64 // seconds, of the real run and of the simulation
	Computing float64    // seconds of the real run that a worker did something besides waiting, mean
	Landings  [2][]float64
	Sent      []uint64 // bytes, by the sockets of workers and committee
	Received  []uint64
}

// model simulates the run that the labours in the folder are of: with the times that their steps took, over the links as they are stated.
func model(t *testing.T, e ends, c configs.Config, dir string) {
	n := c.Swarm.LocalWorkers
	labours, workers := make([]labour, n+1), make([]int, n)
	var out likeness
	for i := range labours {
		l := &labours[i]
		readJSON(t, filepath.Join(dir, fmt.Sprint("labour", i)), l)
		out.Sent, out.Received = append(out.Sent, l.Sent), append(out.Received, l.Received)
		if i == n {
			break
		}
		workers[i] = i
		out.Time[0] = max(out.Time[0], l.Time.Seconds())
		for _, d := range l.Takes {
			out.Computing += d.Seconds() / float64(n)
		}
	}
	for _, at := range labours[0].Landings {
		out.Landings[0] = append(out.Landings[0], at.Seconds())
	}
	link := bench.Host{Up: e.Goodput, Down: e.Goodput, Step: time.Nanosecond}
	r := openParty(t, c, e.Runs, workers...).simulate(t, slices.Repeat([]bench.Host{link}, n), link,
		func(worker int, step uint64) time.Duration { return labours[worker].Takes[step-1] },
		func(worker int, at time.Duration) {
			if worker == 0 {
				out.Landings[1] = append(out.Landings[1], at.Seconds())
			}
		})
	out.Same, out.Root, out.Payload, out.Time[1] = true, labours[0].Root.String(), r.Payload, r.Time.Seconds()
	for i, l := range labours[:n] {
		out.Same = out.Same && l.Root == r.Root && l.Payload == r.Payload[i]
	}
	b, err := json.MarshalIndent(out, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(dir, "likeness.json"), append(b, '\n'))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func readJSON(t *testing.T, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}
