package cli

import (
	"errors"
	"fmt"

	"github.com/skein-train/skein/aggregator"
)

// errKilled ends a worker that a planned fault has killed.
var errKilled = errors.New("killed by a planned fault")

// fault is a planned accident: a worker whose sockets are torn down after a round, without goodbye.
type fault struct {
	worker string
	round  aggregator.Seq
}

// parseFault reads "w2@7": worker w2 dies after round 7. "" plans nothing.
func parseFault(s string) (*fault, error) {
	if s == "" {
		return nil, nil
	}
	var index int
	var round uint64
	if n, err := fmt.Sscanf(s, "w%d@%d", &index, &round); n != 2 || err != nil {
		return nil, fmt.Errorf("--fault %q: expected WORKER@ROUND, such as w2@7", s)
	}
	return &fault{workerName(index), aggregator.Seq(round)}, nil
}

// after kills the worker if its time has come.
func (f *fault) after(w *worker, n aggregator.Seq) error {
	if f == nil || f.worker != w.name || f.round != n {
		return nil
	}
	w.node.Kill()
	return errKilled
}
