package cli

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

// parts are what the outer loop of a run is made of.
type parts struct {
	layout gradients.Layout
	method aggregator.Method
	gate   *gate
}

func partsOf(c configs.Config) (p parts, err error) {
	if p.layout, err = trainer.LayoutOf(modelOf(c, vocabOf(c)), c.Sync.Fragments); err != nil {
		return p, err
	}
	if p.method, err = methodOf(c); err != nil {
		return p, err
	}
	p.gate, err = newGate(p.method, p.layout)
	return p, err
}

// sizes are the vectors of the outer loop, in bytes.
type sizes struct {
	vector   int64 // all parameters
	fragment int64 // the longest fragment
	payload  int64 // the longest payload
	outer    int64 // slots of the outer optimizer
	feedback int64 // the residual, and what of it is under way
}

func (p parts) sizes() sizes {
	s := sizes{vector: 4 * int64(p.layout.Len())}
	for _, f := range p.layout.Fragments() {
		s.fragment, s.payload = max(s.fragment, 4*int64(f.Len())), max(s.payload, int64(p.gate.limit(f.ID)))
	}
	s.outer = s.vector * int64(p.method.Outer(p.layout, p.layout.Fragments()[0]).Slots())
	if p.method.Feedback > 0 {
		s.feedback = s.vector + s.fragment
	}
	return s
}

// need is one purpose that a process takes memory for: that many bytes, that many times.
type need struct {
	Purpose string `json:"purpose"`
	Bytes   int64  `json:"bytes"`
	Times   int    `json:"times"`
}

// footprint is the memory of a process at its peak, need by need.
type footprint struct {
	host   needs
	device *device // the GPU that is fullest; nil if the engine computes on the host
}

type needs []need

func (n needs) total() (bytes int64) {
	for _, one := range n {
		bytes += one.Bytes * int64(one.Times)
	}
	return bytes
}

// What does not grow with the model, measured on runs of a model of 20,000 parameters.
const (
	mapped = 48 << 20 // files that the process uses as memory: the program itself, and the matrix library
	idle   = 16 << 20 // the heap of a process without workers: tokenizer, store, tables of the libraries
	peer   = 3 << 20  // the heap of one peer: connections, their buffers, its log
)

// footprintOf predicts the peak memory of a process that trains with c's local workers; hosts says that the run is started
// there: then it evaluates, and holds the committee's seat. Nothing of that size is allocated.
func footprintOf(c configs.Config, p parts, hosts bool) (footprint, error) {
	e, err := engineOf(c, 0)
	if err != nil {
		return footprint{}, err
	}
	o, s, workers := replicaOptions(c, vocabOf(c)), p.sizes(), c.Swarm.LocalWorkers
	o.Engine = e
	r, err := trainer.Measure(o, silence{vocab: vocabOf(c), seqLen: c.Data.SeqLen})
	_, apart := e.(engine.Apart)
	if err = errors.Join(err, e.Close()); err != nil { // before anybody asks what is free
		return footprint{}, err
	}
	trained := func(workers int) needs {
		all := needs{
			{"parameters", r.Parameters, workers},
			{"gradients", r.Gradients, workers},
			{"inner optimizer", r.Optimizer, workers},
			{"activations", r.Activations, workers},
			{"engine", r.Engine, workers},
		}
		if hosts {
			all = append(all, need{"evaluation", r.Evaluation, workers})
		}
		return all
	}
	f := footprint{host: needs{
		{"anchor", s.vector, workers},
		{"outer optimizer", s.outer, workers},
		{"error feedback", s.feedback, workers},
		{"exchange", 3*s.fragment + 2*s.payload, workers}, // scratch, the delta that leaves, the sum; a payload and its bytes
		{"peer", peer, workers},
		{"program", mapped + idle, 1},
	}}
	if hosts {
		f.host = append(f.host,
			need{"report", 2*s.fragment + s.payload, 1}, // how far the workers agree
			need{"committee", peer, 1})
	}
	if apart {
		if f.device, err = fullest(c, trained); err != nil {
			return footprint{}, err
		}
		f.host = append(needs{{"state to save", r.Parameters + r.Optimizer, workers}}, f.host...) // brought down from the GPU
	} else {
		f.host = append(trained(workers), f.host...)
	}
	return f, nil
}

// fullest is the GPU whose part of c's local workers leaves it least, or lacks most.
func fullest(c configs.Config, trained func(workers int) needs) (worst *device, err error) {
	for _, share := range auto.Shares(engineOptions(c, 0), c.Swarm.LocalWorkers) {
		e, err := engineOf(c, share.First)
		if err != nil {
			return nil, err
		}
		d := &device{Name: e.Name(), Needs: trained(share.Workers)}
		d.Total = d.Needs.total()
		d.Free, _ = e.(engine.Apart).Memory()
		if err := e.Close(); err != nil {
			return nil, err
		}
		if worst == nil || d.Free-d.Total < worst.Free-worst.Total {
			worst = d
		}
	}
	return worst, nil
}

// hold keeps this process within what its run is predicted to take. A GPU that has not as much free is told of before anything is
// done; the host may make room yet.
func (s *session) hold() (release func(), err error) {
	p, err := partsOf(s.cfg)
	if err != nil {
		return nil, err
	}
	f, err := footprintOf(s.cfg, p, true)
	if err != nil {
		return nil, err
	}
	if d := f.device; !d.fits() {
		advice, err := (&forecast{}).remedy(s.cfg)
		return nil, errors.Join(fmt.Errorf("%s: the run takes %s of its memory and %s are free: %s", d.Name, size(d.Total), size(d.Free), advice), err)
	}
	return f.host.hold(), nil
}

// hold has Go's collector keep the process within what it needs, and returns what ends that. Without a limit it lets garbage
// grow until the heap has doubled, and a round leaves vectors behind. A lower limit of the user's (GOMEMLIMIT) stays.
func (n needs) hold() (release func()) {
	before := debug.SetMemoryLimit(-1)
	debug.SetMemoryLimit(min(before, n.total()-mapped))
	return func() { debug.SetMemoryLimit(before) }
}
