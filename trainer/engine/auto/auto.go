// Package auto opens the engine that Options ask for.
package auto

import (
	"errors"
	"fmt"
	"strings"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu"
	"github.com/skein-train/skein/trainer/engine/cuda"
	"github.com/skein-train/skein/trainer/engine/cuda/driver"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// Open returns the engine of the asked kind. "auto" is cuda where there is a GPU for it and the precision is bf16, else cpu;
// the name says so if there is a GPU that is not used. What was asked for by name and is not there is an error that says what
// to install.
func Open(o engine.Options) (engine.Engine, error) {
	switch kind, _, _ := strings.Cut(o.Kind, ":"); {
	case kind == "cuda":
		return opened(cuda.Open(o))
	case o.Kind == "" || o.Kind == "auto":
		return fastest(o)
	case o.Kind == "cpu":
		return opened(cpu.Open(o))
	case o.Kind == "reference":
		if o.Precision != "" && o.Precision != "fp32" {
			return nil, fmt.Errorf("engine reference: precision %q: it computes in float64; choose fp32", o.Precision)
		}
		return reference.New(), nil
	}
	return nil, fmt.Errorf("engine %q: unknown; choose auto, cpu, cuda, cuda:N or reference", o.Kind)
}

// Share is what one GPU has of a process's workers.
type Share struct{ First, Workers int } // the lowest of them, and how many there are

// Shares says how Open deals that many workers out to GPUs; nil if there is none for them.
func Shares(o engine.Options, workers int) (all []Share) {
	at := map[int]int{} // by GPU
	for o.Worker = range workers {
		dev, err := cuda.Find(o)
		if err != nil {
			return nil
		}
		i, known := at[dev.Index]
		if !known {
			i = len(all)
			at[dev.Index] = i
			all = append(all, Share{First: o.Worker})
		}
		all[i].Workers++
	}
	return all
}

// opened keeps a nil engine from becoming an Engine that is not nil.
func opened[E engine.Engine](e E, err error) (engine.Engine, error) {
	if err != nil {
		return nil, err
	}
	return e, nil
}

// fastest takes a GPU if there is one for the run.
func fastest(o engine.Options) (engine.Engine, error) {
	_, err := cuda.Find(o)
	switch {
	case err == nil && o.Precision == cuda.Precision:
		o.Kind = "cuda"
		return opened(cuda.Open(o))
	case err == nil:
		o.Remark = "a GPU is there, which computes in " + cuda.Precision + " only"
	case !errors.Is(err, driver.ErrNoDriver) || driver.Named(o.Driver) != "":
		o.Remark = "the GPU cannot be used: skein doctor says why"
	}
	return opened(cpu.Open(o))
}
