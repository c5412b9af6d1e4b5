package cli

import (
	"fmt"
	"sync"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// gate looks at payloads before anything is done with them. Its methods may be called from any goroutine.
type gate struct {
	mu     sync.Mutex        // a codec is for one goroutine at a time
	codecs []gradients.Codec // by fragment
}

func newGate(m aggregator.Method, l gradients.Layout) (*gate, error) {
	g := &gate{}
	for _, f := range l.Fragments() {
		c, err := m.Codec(l, f)
		if err != nil {
			return nil, err
		}
		g.codecs = append(g.codecs, c)
	}
	return g, nil
}

// limit bounds the payload of a fragment, in bytes; nothing is allowed for a fragment that there is not.
func (g *gate) limit(fragment int) int {
	if fragment < 0 || fragment >= len(g.codecs) {
		return 0
	}
	return g.codecs[fragment].MaxSize()
}

// check is the committee's look at a payload before it counts.
func (g *gate) check(h *aggregator.SignedHeader, payload []byte) error {
	n := h.Key.Fragment
	if n < 0 || n >= len(g.codecs) {
		return fmt.Errorf("%w: no fragment %d", aggregator.ErrMalformed, n)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.codecs[n].Check(payload)
}
