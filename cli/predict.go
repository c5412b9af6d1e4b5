package cli

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/skein-train/skein/configs"
)

// forecast is the memory that `skein run` will take, against what this machine has free.
type forecast struct {
	File       string    `json:"file"`
	Parameters int       `json:"parameters"`
	Workers    int       `json:"workers"`
	Engine     string    `json:"engine"`
	Needs      footprint `json:"needs"`
	Total      int64     `json:"total"`            // bytes
	Free       uint64    `json:"free"`             // bytes; 0 if the system does not say
	Advice     string    `json:"advice,omitempty"` // what would make it fit, if it does not
}

// predict forecasts a run. It allocates nothing of the run's size.
func predict(file string, c configs.Config) (forecast, error) {
	p, err := partsOf(c)
	if err != nil {
		return forecast{}, err
	}
	e, err := engineOf(c, 0)
	if err != nil {
		return forecast{}, err
	}
	defer e.Close()
	f := forecast{File: file, Parameters: p.layout.Len(), Workers: c.Swarm.LocalWorkers, Engine: e.Name()}
	if f.Needs, err = footprintOf(c, p, true); err != nil {
		return forecast{}, err
	}
	f.Total = f.Needs.total()
	if m, err := mem.VirtualMemory(); err == nil {
		f.Free = m.Available
	}
	if !f.fits(f.Total) {
		f.Advice, err = f.remedy(c)
	}
	return f, err
}

func (f forecast) fits(bytes int64) bool { return f.Free == 0 || bytes <= int64(f.Free) }

// remedy looks for the mildest change of the run file with which the run fits: smaller micro-batches first, which change
// nothing but rounding; then recomputation, which costs time; then fewer workers, which is another run.
func (f forecast) remedy(c configs.Config) (string, error) {
	for {
		smaller, changed := shrink(&c)
		if !smaller {
			return fmt.Sprintf("even with %s it would take %s: this model wants a larger machine", changed, size(f.Total)), nil
		}
		p, err := partsOf(c)
		if err != nil {
			return "", err
		}
		needs, err := footprintOf(c, p, true)
		if err != nil {
			return "", err
		}
		if f.Total = needs.total(); f.fits(f.Total) {
			return fmt.Sprintf("with %s it would take %s", changed, size(f.Total)), nil
		}
	}
}

// shrink takes the next step towards a smaller run, and says what differs from the file by now.
func shrink(c *configs.Config) (smaller bool, changed string) {
	t := &c.Train
	switch {
	case t.MicroBatchSize > 1:
		t.MicroBatchSize--
		for t.BatchSize%t.MicroBatchSize != 0 {
			t.MicroBatchSize--
		}
		smaller = true
	case t.Recompute != "block":
		t.Recompute, smaller = "block", true
	case c.Swarm.LocalWorkers > 1:
		c.Swarm.LocalWorkers--
		smaller = true
	}
	return smaller, fmt.Sprintf("train.micro_batch_size=%d train.recompute=%s swarm.local_workers=%d", t.MicroBatchSize, t.Recompute, c.Swarm.LocalWorkers)
}

// tell prints the table.
func (f forecast) tell(out *console) {
	out.line("memory of skein run %s: %s parameters, %d workers", f.File, humanize.Comma(int64(f.Parameters)), f.Workers)
	out.line("engine %s", f.Engine)
	out.line("")
	for _, n := range f.Needs {
		if n.Bytes > 0 {
			out.line("  %-16s %10s × %-3d = %10s", n.Purpose, size(n.Bytes), n.Times, size(n.Bytes*int64(n.Times)))
		}
	}
	out.line("  %-16s %10s   %-3s   %10s", "total", "", "", size(f.Total))
	out.line("")
	switch {
	case f.Free == 0:
		out.line("this system does not say how much is free")
	case f.Advice == "":
		out.line("ok  %s are free", size(int64(f.Free)))
	default:
		out.line("!!  only %s are free\n    → %s", size(int64(f.Free)), f.Advice)
	}
}

func size(bytes int64) string { return humanize.IBytes(uint64(bytes)) }
