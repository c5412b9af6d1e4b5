package ipfs

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/ipfs/boxo/bitswap/message"
	"github.com/ipfs/boxo/bitswap/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// answers is the network as the server sees it. It sends everything to a peer over one stream, in order: blocks that
// share a road side by side would all be half there when it ends, and a stream for every block would wait for its
// window, which starts smaller than a block, to be opened each time.
type answers struct {
	network.BitSwapNetwork

	mu    sync.Mutex
	lines map[peer.ID]*line
}

// line is the stream to one peer.
type line struct {
	turn   chan struct{} // holds a token while nobody writes
	over   atomic.Bool   // what still waits for its turn was asked for by a process that is gone
	sender network.MessageSender
}

func (a *answers) line(p peer.ID) *line {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.lines[p]
	if l == nil {
		l = &line{turn: make(chan struct{}, 1)}
		l.turn <- struct{}{}
		a.lines[p] = l
	}
	return l
}

// SendMessage implements network.BitSwapNetwork.
func (a *answers) SendMessage(ctx context.Context, p peer.ID, m message.BitSwapMessage) (err error) {
	l := a.line(p)
	select {
	case <-l.turn:
		defer func() { l.turn <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if l.over.Load() {
		return errors.New("the peer is gone")
	}
	if l.sender == nil {
		if l.sender, err = a.NewMessageSender(ctx, p, &network.MessageSenderOpts{MaxRetries: 1}); err != nil {
			return err
		}
	}
	if err = l.sender.SendMsg(ctx, m); err != nil {
		_ = l.sender.Reset()
		l.sender = nil
	}
	return err
}

// gone ends the stream to a peer.
func (a *answers) gone(p peer.ID) {
	a.mu.Lock()
	l := a.lines[p]
	delete(a.lines, p)
	a.mu.Unlock()
	if l != nil {
		l.end()
	}
}

// close ends all streams.
func (a *answers) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.lines {
		l.end()
	}
	a.lines = nil
}

// end closes the stream. Whoever writes to it at this moment finds out by himself.
func (l *line) end() {
	l.over.Store(true)
	select {
	case <-l.turn:
		if l.sender != nil {
			_ = l.sender.Reset()
			l.sender = nil
		}
		l.turn <- struct{}{}
	default:
	}
}
