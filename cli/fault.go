package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/skein-train/skein/aggregator"
)

// errKilled ends a worker that a planned fault has killed.
var errKilled = errors.New("killed by a planned fault")

// fault is a planned accident: a worker whose sockets are torn down after a round, without goodbye.
type fault struct {
	worker string
	round  aggregator.Seq
}

// parseFault reads "w2@7": worker w2, one of so many, dies after round 7. "" plans nothing.
func parseFault(s string, workers int) (*fault, error) {
	if s == "" {
		return nil, nil
	}
	name, after, _ := strings.Cut(s, "@")
	round, err := strconv.ParseUint(after, 10, 64)
	if err != nil || round == 0 {
		return nil, fmt.Errorf("--fault %q: expected WORKER@ROUND, such as w2@7", s)
	}
	for i := range workers {
		if name == workerName(i) {
			return &fault{name, aggregator.Seq(round)}, nil
		}
	}
	return nil, fmt.Errorf("--fault %q: there is no worker %q, only w0 to %s", s, name, workerName(workers-1))
}

// after kills the worker if its time has come.
func (f *fault) after(w *worker, n aggregator.Seq) error {
	if f == nil || f.worker != w.name || f.round != n {
		return nil
	}
	w.node.Kill()
	return errKilled
}
