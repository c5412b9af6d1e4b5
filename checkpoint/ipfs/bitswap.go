package ipfs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/ipfs/boxo/bitswap/message"
	pb "github.com/ipfs/boxo/bitswap/message/pb"
	"github.com/ipfs/boxo/bitswap/network"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/bitswap/server"
	"github.com/ipfs/boxo/blockstore"
	"github.com/ipfs/boxo/exchange"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Protocol is the one version of bitswap that is spoken: the first in which a peer says that it lacks a block.
const Protocol = protocol.ID("/ipfs/bitswap/1.2.0")

// Bitswap makes an exchange over a libp2p host for Options.Exchange. It serves what the store has to every peer that the
// host is connected to, and asks those peers, and no others, for what the store lacks. The host stays the caller's: it
// must outlive the store, and its sockets, limits and keys are used as they are.
//
// A block is asked of one peer at a time, and each peer is sent one block after the other, so that little is on its way
// twice, or lost when either side is killed. The server is boxo's; asking is our own (see asks).
func Bitswap(h host.Host) func(blockstore.Blockstore) exchange.Interface {
	return func(local blockstore.Blockstore) exchange.Interface {
		ctx, cancel := context.WithCancel(context.Background())
		net := bsnet.NewFromIpfsHost(h, bsnet.SupportedProtocols([]protocol.ID{Protocol}))
		out := &answers{BitSwapNetwork: net, lines: map[peer.ID]*line{}}
		x := &bitswap{
			host: h, net: net, answers: out, ctx: ctx, cancel: cancel, asks: newAsks(),
			waiting: map[cid.Cid]*answer{}, outboxes: map[peer.ID]*outbox{}, wake: make(chan struct{}, 1),
			server: server.New(ctx, out, local,
				server.TaskWorkerCount(64), // a slow peer keeps two of them waiting
				server.MaxOutstandingBytesPerPeer(2*ChunkSize),
				server.MaxCidSize(64),
				server.MaxQueuedWantlistEntriesPerPeer(256),
				server.WithPeerBlockRequestFilter(func(_ peer.ID, c cid.Cid) bool { return allow(c) == nil })),
		}
		x.busy.Go(x.ticks)
		net.Start(x)
		return x
	}
}

// Traffic counts blocks and their bytes as an exchange saw them since it was made.
type Traffic struct {
	Received, Duplicate, Strange, Sent uint64 // bytes: asked for; asked for but here already; never asked for; served
}

// bitswap is both sides of the protocol over one host.
type bitswap struct {
	host    host.Host
	net     network.BitSwapNetwork
	answers *answers
	server  *server.Server
	ctx     context.Context
	cancel  context.CancelFunc
	busy    sync.WaitGroup
	wake    chan struct{} // there is something to tick for

	mu       sync.Mutex // guards what follows
	asks     *asks
	waiting  map[cid.Cid]*answer
	outboxes map[peer.ID]*outbox
	traffic  Traffic
	closed   bool
}

// answer is shared by all who wait for a block.
type answer struct {
	waiters int
	done    chan struct{} // closed once block is set
	block   blocks.Block
}

var errClosed = errors.New("the exchange is closed")

// GetBlock implements exchange.Interface. It asks until the block is here or ctx is over, whatever peers come and go.
func (x *bitswap) GetBlock(ctx context.Context, c cid.Cid) (blocks.Block, error) {
	if err := allow(c); err != nil {
		return nil, err
	}
	a, err := x.wait(c)
	if err != nil {
		return nil, err
	}
	select {
	case <-a.done:
		return a.block, nil
	case <-ctx.Done():
		err = ctx.Err()
	case <-x.ctx.Done():
		err = errClosed
	}
	x.leave(c, a)
	return nil, err
}

func (x *bitswap) wait(c cid.Cid) (*answer, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return nil, errClosed
	}
	a := x.waiting[c]
	if a == nil {
		a = &answer{done: make(chan struct{})}
		x.waiting[c] = a
		x.asks.add(c, time.Now())
		x.flush()
		select {
		case x.wake <- struct{}{}:
		default:
		}
	}
	a.waiters++
	return a, nil
}

// leave withdraws the want of the last one who waits.
func (x *bitswap) leave(c cid.Cid, a *answer) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if a.waiters--; a.waiters == 0 && x.waiting[c] == a {
		delete(x.waiting, c)
		x.asks.drop(c, time.Now())
		x.flush()
	}
}

// GetBlocks implements exchange.Interface.
func (x *bitswap) GetBlocks(ctx context.Context, all []cid.Cid) (<-chan blocks.Block, error) {
	out := make(chan blocks.Block)
	var each sync.WaitGroup
	for _, c := range all {
		each.Go(func() {
			if b, err := x.GetBlock(ctx, c); err == nil {
				select {
				case out <- b:
				case <-ctx.Done():
				}
			}
		})
	}
	x.busy.Go(func() { each.Wait(); close(out) })
	return out, nil
}

// NotifyNewBlocks implements exchange.Interface: peers that asked in vain get the block.
func (x *bitswap) NotifyNewBlocks(ctx context.Context, all ...blocks.Block) error {
	return x.server.NotifyNewBlocks(ctx, all...)
}

// Close implements exchange.Interface. Who waits for a block gets an error.
func (x *bitswap) Close() error {
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	x.mu.Unlock()
	x.host.RemoveStreamHandler(Protocol)
	x.net.Stop()
	x.cancel()
	x.server.Close()
	x.answers.close()
	x.busy.Wait()
	x.hangUp()
	return nil
}

// hangUp ends the streams that peers opened, so that they open new ones to the next exchange over this host.
func (x *bitswap) hangUp() {
	for _, c := range x.host.Network().Conns() {
		for _, s := range c.GetStreams() {
			if s.Protocol() == Protocol {
				_ = s.Reset()
			}
		}
	}
}

// ticks looks after time while something is wanted.
func (x *bitswap) ticks() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-x.ctx.Done():
			return
		case <-t.C:
		}
		x.mu.Lock()
		idle := len(x.waiting) == 0
		x.asks.tick(time.Now())
		x.flush()
		x.mu.Unlock()
		if idle {
			select {
			case <-x.ctx.Done():
				return
			case <-x.wake:
			}
		}
		x.lookAround()
	}
}

// lookAround asks connected peers again that could not be written to some time ago.
func (x *bitswap) lookAround() {
	for _, p := range x.host.Network().Peers() {
		if ok, err := x.host.Peerstore().SupportsProtocols(p, Protocol); err == nil && len(ok) > 0 {
			x.found(p)
		}
	}
}

// PeerConnected implements network.Receiver.
func (x *bitswap) PeerConnected(p peer.ID) {
	x.server.PeerConnected(p)
	x.found(p)
}

// found adds a peer to those that are asked.
func (x *bitswap) found(p peer.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || x.outboxes[p] != nil {
		return
	}
	o := &outbox{to: p, ready: make(chan struct{}, 1), fresh: true}
	o.ctx, o.cancel = context.WithCancel(x.ctx)
	x.outboxes[p] = o
	x.busy.Go(func() { o.run(x) })
	x.asks.connected(p, time.Now())
	x.flush()
}

// PeerDisconnected implements network.Receiver.
func (x *bitswap) PeerDisconnected(p peer.ID) {
	x.server.PeerDisconnected(p)
	x.answers.gone(p)
	x.lost(p)
}

// lost takes a peer from those that are asked.
func (x *bitswap) lost(p peer.ID) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if o := x.outboxes[p]; o != nil {
		o.cancel()
		delete(x.outboxes, p)
	}
	x.asks.gone(p, time.Now())
	x.flush()
}

// ReceiveError implements network.Receiver: a broken stream, of which the connection's end tells enough.
func (x *bitswap) ReceiveError(error) {}

// ReceiveMessage implements network.Receiver. The blocks' CIDs were made of their bytes; a changed block has another one.
func (x *bitswap) ReceiveMessage(ctx context.Context, from peer.ID, m message.BitSwapMessage) {
	x.mu.Lock()
	now := time.Now()
	for _, b := range m.Blocks() {
		x.receive(from, b, now)
	}
	for _, c := range m.DontHaves() {
		x.asks.lacks(from, c, now)
	}
	x.flush()
	x.mu.Unlock()
	if len(m.Wantlist()) > 0 {
		if m.Full() { // it starts anew, with new streams
			x.answers.gone(from)
		}
		x.server.ReceiveMessage(ctx, from, m)
	}
}

func (x *bitswap) receive(from peer.ID, b blocks.Block, now time.Time) {
	size := uint64(len(b.RawData()))
	switch x.asks.arrived(from, b.Cid(), now) {
	case duplicate:
		x.traffic.Duplicate += size
	case stranger:
		x.traffic.Strange += size
	case delivered:
		x.traffic.Received += size
		a := x.waiting[b.Cid()]
		delete(x.waiting, b.Cid())
		a.block = b
		close(a.done)
	}
}

// Traffic counts what came and went.
func (x *bitswap) Traffic() Traffic {
	sent, err := x.server.Stat()
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.traffic
	if err == nil {
		t.Sent = sent.DataSent
	}
	return t
}

// Suspects lists the connected peers that sent what nobody asked for in the place of what was.
func (x *bitswap) Suspects() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var out []string
	for p, s := range x.asks.peers {
		if s.strangers > 0 {
			out = append(out, p.String())
		}
	}
	slices.Sort(out)
	return out
}

// Peers counts the connected peers that may be asked.
func (x *bitswap) Peers() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.asks.peers)
}

// flush hands the messages that are due to the outboxes.
func (x *bitswap) flush() {
	for _, a := range x.asks.take() {
		if o := x.outboxes[a.to]; o != nil {
			o.add(a)
		}
	}
}

// outbox writes to one peer, in order.
type outbox struct {
	to     peer.ID
	ctx    context.Context
	cancel context.CancelFunc
	ready  chan struct{}
	fresh  bool // nothing was sent yet

	mu  sync.Mutex
	due []ask
}

func (o *outbox) add(a ask) {
	o.mu.Lock()
	o.due = append(o.due, a)
	o.mu.Unlock()
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// message takes what is due. The first one replaces whatever the peer remembers of an earlier connection.
func (o *outbox) message() message.BitSwapMessage {
	m := message.New(o.fresh)
	o.fresh = false
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, a := range o.due {
		if m.Remove(a.block); a.cancel {
			m.Cancel(a.block)
		} else {
			m.AddEntry(a.block, 1, pb.Message_Wantlist_Block, true)
		}
	}
	o.due = nil
	return m
}

// run sends until the peer is gone. One that cannot be written to is as good as gone, until lookAround finds it again.
func (o *outbox) run(x *bitswap) {
	var sender network.MessageSender
	defer func() {
		if sender != nil {
			_ = sender.Reset()
		}
	}()
	for {
		select {
		case <-o.ctx.Done():
			return
		case <-o.ready:
		}
		var err error
		if sender == nil {
			sender, err = x.net.NewMessageSender(o.ctx, o.to, &network.MessageSenderOpts{MaxRetries: 2, SendTimeout: 20 * time.Second})
		}
		if m := o.message(); err == nil && !m.Empty() {
			err = sender.SendMsg(o.ctx, m)
		}
		if err != nil {
			x.lost(o.to)
			return
		}
	}
}
