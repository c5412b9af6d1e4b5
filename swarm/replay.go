package swarm

import (
	"encoding/binary"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// replays refuses gossipsub messages that were seen before. The seen-cache forgets after two minutes, and
// BasicSeqnoValidator wants numbers to rise: but messages of one author overtake each other on the meshes of different
// topics, and the slower one would be lost. So the numbers are kept in a sliding window per author, as IPsec does (RFC 4303,
// section 3.4.3).
type replays struct {
	mu      sync.Mutex
	authors map[peer.ID]*seqnoWindow
}

const replayWindow = 1024 // numbers below the highest that may still arrive

type seqnoWindow struct {
	top  uint64
	seen [replayWindow / 64]uint64 // bit i%replayWindow: number i was seen, for top−replayWindow < i ≤ top
}

// fresh reports whether the message number is new, and remembers it.
func (r *replays) fresh(author peer.ID, seqno []byte) bool {
	if len(seqno) != 8 {
		return false
	}
	n := binary.BigEndian.Uint64(seqno)
	r.mu.Lock()
	defer r.mu.Unlock()
	w := r.authors[author]
	if w == nil {
		w = &seqnoWindow{top: n}
		if r.authors == nil || len(r.authors) >= 1<<16 { // keys are cheap to make: start afresh rather than grow for ever
			r.authors = map[peer.ID]*seqnoWindow{}
		}
		r.authors[author] = w
	}
	return w.add(n)
}

func (w *seqnoWindow) add(n uint64) bool {
	if n+replayWindow <= w.top {
		return false
	}
	for w.top < n { // the window moves up: what it gains was not seen
		if n-w.top >= replayWindow {
			*w = seqnoWindow{top: n}
			break
		}
		w.top++
		w.seen[w.top%replayWindow/64] &^= 1 << (w.top % 64)
	}
	bit := &w.seen[n%replayWindow/64]
	if *bit>>(n%64)&1 == 1 {
		return false
	}
	*bit |= 1 << (n % 64)
	return true
}
