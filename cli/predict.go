package cli

import (
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/skein-train/skein/configs"
)

// forecast is the memory that `skein run` will take, against what this machine has free.
type forecast struct {
	File       string  `json:"file"`
	Parameters int     `json:"parameters"`
	Workers    int     `json:"workers"`
	Engine     string  `json:"engine"`
	Needs      needs   `json:"needs"`
	Total      int64   `json:"total"`            // bytes
	Free       uint64  `json:"free"`             // bytes; 0 if the system does not say
	Device     *device `json:"device,omitempty"` // if the engine's memory is a GPU's
	Advice     string  `json:"advice,omitempty"` // what would make it fit, if it does not
}

// device is the memory that a run takes on one GPU.
type device struct {
	Name  string `json:"name"`
	Needs needs  `json:"needs"`
	Total int64  `json:"total"` // bytes
	Free  int64  `json:"free"`  // bytes; 0 if the GPU does not say
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
	found, err := footprintOf(c, p, true)
	if err != nil {
		return forecast{}, err
	}
	f.take(found)
	if m, err := mem.VirtualMemory(); err == nil {
		f.Free = m.Available
	}
	if !f.fits(found) {
		f.Advice, err = f.remedy(c)
	}
	return f, err
}

// take sets what the run takes.
func (f *forecast) take(found footprint) {
	f.Needs, f.Total = found.host, found.host.total()
	f.Device = found.device
}

func (f forecast) sizes() string {
	if f.Device == nil {
		return size(f.Total)
	}
	return fmt.Sprintf("%s of a GPU and %s of the host", size(f.Device.Total), size(f.Total))
}

// fits compares what a run takes with what is free.
func (f forecast) fits(found footprint) bool {
	return (f.Free == 0 || found.host.total() <= int64(f.Free)) && found.device.fits()
}

// fits says whether a GPU has as much free as the run takes. A nil one and one that does not say have.
func (d *device) fits() bool { return d == nil || d.Free == 0 || d.Total <= d.Free }

// remedy looks for the mildest change of the run file with which the run fits: smaller micro-batches first, which change
// nothing but rounding; then recomputation, which costs time; then fewer workers, which is another run.
func (f forecast) remedy(c configs.Config) (string, error) {
	for {
		smaller, changed := shrink(&c)
		if !smaller {
			return fmt.Sprintf("even with %s it would take %s: this model wants a larger machine", changed, f.sizes()), nil
		}
		p, err := partsOf(c)
		if err != nil {
			return "", err
		}
		found, err := footprintOf(c, p, true)
		if err != nil {
			return "", err
		}
		if f.take(found); f.fits(found) {
			return fmt.Sprintf("with %s it would take %s", changed, f.sizes()), nil
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
	if f.Device != nil {
		out.line("on one GPU:")
		f.Device.Needs.tell(out)
		out.line("")
		out.line("on the host:")
	}
	f.Needs.tell(out)
	out.line("")
	switch {
	case f.Free == 0 && f.Advice == "":
		out.line("this system does not say how much is free")
	case f.Advice == "":
		out.line("ok  %s are free", size(int64(f.Free)))
	case f.Free > 0 && f.Total > int64(f.Free):
		out.line("!!  only %s are free\n    → %s", size(int64(f.Free)), f.Advice)
	default:
		out.line("!!  the GPU has only %s free\n    → %s", size(f.Device.Free), f.Advice)
	}
}

func (n needs) tell(out *console) {
	for _, one := range n {
		if one.Bytes > 0 {
			out.line("  %-16s %10s × %-3d = %10s", one.Purpose, size(one.Bytes), one.Times, size(one.Bytes*int64(one.Times)))
		}
	}
	out.line("  %-16s %10s   %-3s   %10s", "total", "", "", size(n.total()))
}

func size(bytes int64) string { return humanize.IBytes(uint64(bytes)) }
