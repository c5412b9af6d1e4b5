package swarm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

// Options are what a Node is made of.
type Options struct {
	Seed       [32]byte                   // Ed25519 seed of the node's identity: see LoadOrCreateSeed
	Listen     []string                   // multiaddrs to listen on, TCP and QUIC: swarm.listen; none: dial only
	Run        *aggregator.SignedManifest // the run that the node takes part in
	Welcome    []byte                     // handed to joiners beside the manifest, at most MaxWelcome bytes: the run file, say
	Dir        string                     // the node's own directory for certificates, payloads and offers
	MaxPayload func(fragment int) int     // bytes of the largest payload that a fragment's codec makes
	Announce   string                     // name under which Discover finds the run on the local network; empty: it does not
	// Moments, if set, copies the state of the worker's inner optimizer for a joiner: the last round folded in, vectors and
	// counters that nobody changes any more, and whether there are any. It is called by one goroutine at a time.
	Moments func() (round uint64, vectors [][]float32, counters []uint64, ok bool)
	Log     *slog.Logger // nil: silent
	Caps    *Caps        // shared by all nodes of a machine; nil: no limits
}

// pace is how long a node waits before it tries again; none of it is on the way of a healthy round.
type pace struct {
	republish time.Duration // own contributions, joins and reports, until a certificate answers
	tip       time.Duration // the committee's last certificate
	patience  time.Duration // without progress, until a payload or a certificate is fetched over a stream
	stuck     time.Duration // the same, for a payload whose parts were coming in
	deaf      time.Duration // connected, but absent from gossipsub's peers: redialled
	request   time.Duration // a part that was asked for: asked again
	elapse    time.Duration // tick of the committee's clock
	owed      time.Duration // a leaving worker waits so long until the committee has what it offered
	farewell  time.Duration // and so long for the answer to its goodbye
	mingle    time.Duration // between questions for more peers, once the first ones are asked
}

func defaultPace() pace {
	return pace{
		republish: 3 * time.Second, tip: time.Second, patience: 4 * time.Second, stuck: 30 * time.Second, deaf: 5 * time.Second,
		request: 12 * time.Second, elapse: 100 * time.Millisecond, mingle: time.Minute,
		owed: 5 * time.Second, farewell: 3 * time.Second,
	}
}

// Node is one peer of one run on sockets of its own. Its methods may be called from any goroutine.
type Node struct {
	Options
	pace   pace
	signer aggregator.Signer
	run    aggregator.Hash
	host   host.Host
	meter  *meter
	gossip *gossip
	parts  *partsExchange
	ledger *ledger
	depot  *depot
	guard  *guard
	roads  *roads

	ctx   context.Context
	stop  context.CancelFunc
	tasks sync.WaitGroup
	once  sync.Once
	end   error // of Close

	born    time.Time
	giving  turn          // held while moments are sent
	behind  atomic.Bool   // certificates are being fetched
	present chan struct{} // they have been

	mu        sync.Mutex
	onPayload func(*want)   // the committee's, or the exchange's: see stored
	onNotice  func(*notice) // the committee's
	onLate    func(*aggregator.SignedHeader, aggregator.Seq, Outcome)
	lookup    chan peer.ID // who to ask for missing certificates
	hush      func()       // ends the announcement
}

// Listen starts a node. It ends with Close or Kill; ctx bounds the start only.
func Listen(ctx context.Context, o Options) (*Node, error) { return listen(ctx, o, defaultPace()) }

func listen(ctx context.Context, o Options, p pace) (*Node, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if len(o.Welcome) > MaxWelcome {
		return nil, fmt.Errorf("swarm: %d bytes of welcome, at most %d fit", len(o.Welcome), MaxWelcome)
	}
	n := &Node{
		Options: o, pace: p, signer: aggregator.NewSigner(o.Seed), run: o.Run.Hash(), born: time.Now(),
		lookup: make(chan peer.ID, 1), giving: make(turn, 1), present: make(chan struct{}, 1),
	}
	n.ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	if err := n.start(ctx); err != nil {
		n.Kill()
		return nil, err
	}
	return n, nil
}

// start brings the parts up in the order in which they lean on each other.
func (n *Node) start(ctx context.Context) (err error) {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	if err := removeTorn(n.Dir); err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	if n.ledger, err = openLedger(n.Dir, &n.Run.Manifest); err != nil {
		return err
	}
	if n.depot, err = openDepot(n.Dir); err != nil {
		return err
	}
	n.meter = newMeter(n.ctx, n.Caps)
	n.guard = newGuard(n.Log, n.signer.ID)
	if n.host, err = newHost(n.Seed, n.meter, n.guard, withTLS(n.meter), withNoise(n.meter)); err != nil {
		return fmt.Errorf("swarm: %w", err)
	}
	n.guard.disconnect = func(p peer.ID) { _ = n.host.Network().ClosePeer(p) }
	n.roads = newRoads(n)
	n.parts = newPartsExchange(n)
	if n.gossip, err = newGossip(n); err != nil {
		return fmt.Errorf("swarm: gossipsub: %w", err)
	}
	n.loadContacts()
	n.serve()
	n.spawn(n.parts.loop)
	n.spawn(n.catchUp)
	n.spawn(n.roads.watch)
	n.spawn(n.mingle)
	if err := listenOn(n.host, n.Options.Listen); err != nil {
		return err
	}
	return n.announce()
}

// removeTorn removes files that a crash left half-written.
func removeTorn(dir string) error {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		if durable.IsTemp(e.Name()) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, e.Name())))
		}
	}
	return err
}

// spawn runs a task that ends when n.ctx does.
func (n *Node) spawn(task func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.ctx.Err() == nil {
		n.tasks.Go(task)
	}
}

// ID is the node's identity.
func (n *Node) ID() aggregator.PeerID { return n.signer.ID }

// Host is the node's libp2p host, for more protocols on the same sockets: their streams are metered and capped like all. It
// closes with the node, and only with it.
func (n *Node) Host() host.Host { return n.host }

// Addrs are the addresses that others can dial, with the node's identity at their ends.
func (n *Node) Addrs() []string { return listedAddrs(n.host) }

// Traffic is the number of bytes that the node's sockets have sent and received: on TCP from the cryptographic handshake
// on, on QUIC whole datagrams.
func (n *Node) Traffic() (sent, received uint64) { return n.meter.sent.Load(), n.meter.received.Load() }

// Peers is the number of peers that the node exchanges messages with.
func (n *Node) Peers() int { return len(n.gossip.log.ListPeers()) }

// Err is why the node cannot go on, its disk for one; nil while it can.
func (n *Node) Err() error { return n.guard.failure() }

// Payload returns a payload that is on this node's disk and has at most MaxBlock bytes.
func (n *Node) Payload(hash [32]byte) ([]byte, bool) {
	path, size, ok := n.depot.find(hash)
	if !ok || size > MaxBlock {
		return nil, false
	}
	b, err := os.ReadFile(path)
	return b, err == nil
}

// MaxBlock bounds the payloads that are handed out as one block, in bytes.
const MaxBlock = 1 << 20

// Prune removes payloads and offers from the disk that no round from there on can count. Certificates stay.
func (n *Node) Prune(before aggregator.Seq) error {
	dropped, err := n.depot.prune(before - min(before, n.Run.MaxStaleness))
	n.parts.drop(slices.DeleteFunc(dropped, (*want).isHere)) // what is here goes on to who lags: its file is open
	return err
}

// Close says goodbye to the peers and gives back sockets, files and goroutines.
func (n *Node) Close() error {
	n.once.Do(func() {
		n.mu.Lock() // no task starts from here on
		n.stop()
		n.mu.Unlock()
		if n.hush != nil {
			n.hush()
		}
		if n.host != nil {
			n.end = n.host.Close()
		}
		n.tasks.Wait()
		if n.ledger != nil {
			n.end = errors.Join(n.end, n.ledger.close())
		}
	})
	return n.end
}

// Kill ends the node as a crash of its machine would: its sockets are cut without goodbye. What is on disk stays.
func (n *Node) Kill() {
	if n.meter != nil {
		n.meter.cut()
	}
	_ = n.Close()
}

// note logs an error that the node survives, unless it comes from its own end.
func (n *Node) note(msg string, err error, args ...any) {
	if err != nil && n.ctx.Err() == nil && !errors.Is(err, context.Canceled) {
		n.Log.Warn(msg, append(args, "err", err)...)
	}
}

// spoiled records an error of the disk over a payload, unless its round was pruned under whoever was still at it.
func (n *Node) spoiled(w *want, err error) {
	if !w.pruned(err) {
		n.broken(err)
	}
}

// broken records an error of the disk: the node abstains from then on.
func (n *Node) broken(err error) {
	if err != nil && n.ctx.Err() == nil {
		n.guard.fail(err)
	}
}
