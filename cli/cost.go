package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"runtime"

	"github.com/dustin/go-humanize"
	"github.com/shirou/gopsutil/v4/disk"
	"github.com/shirou/gopsutil/v4/mem"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

// cost is what a run takes of a machine that joins it with one worker, in bytes.
type cost struct {
	Download int64 `json:"download"` // at once: the newest checkpoint
	Stream   int64 `json:"stream"`   // before the first step: the chunks that the coming sequences are dealt from
	Up       int64 `json:"up"`       // each round
	Down     int64 `json:"down"`     // each round, of each other worker
	Memory   int64 `json:"memory"`
	Disk     int64 `json:"disk"`
	Threads  int   `json:"threads"`

	GPU *device `json:"gpu,omitempty"` // if it computes on one
}

// blocks is the memory for what is fetched: parts of checkpoints and token shards on their way to the disk.
const blocks = 32 << 20

// costOf estimates the cost of a run from its recipe, whose numbers are in range: nothing of that size is taken yet.
func costOf(c configs.Config, p parts, quota int64) (cost, error) {
	memory, err := footprintOf(c, p, false)
	if err != nil {
		return cost{}, err
	}
	s := p.sizes()
	shared := s.vector + s.outer
	moments := 3 * s.vector
	return cost{
		Download: shared, Stream: 17 << 20, Up: s.payload, Down: s.payload, Threads: threadsOf(c),
		Memory: memory.host.total() + blocks, GPU: memory.device,
		Disk: 2*shared + 2*(shared+s.feedback+moments) + quota + 96<<20,
	}, nil
}

func vocabOf(c configs.Config) int {
	t, err := shards.NewTokenizer(c.Data.Tokenizer)
	if err != nil {
		return 0 // the recipe is valid: it names a tokenizer that there is
	}
	return t.Vocab()
}

// means are what a machine has to give, in bytes.
type means struct{ memory, disk uint64 }

// meansOf looks at this machine; what it does not tell counts as plenty, and what the folder holds already as free.
func meansOf(dir string) means {
	has := means{math.MaxUint64, math.MaxUint64}
	if m, err := mem.VirtualMemory(); err == nil {
		has.memory = m.Available
	}
	if u, err := disk.Usage(existing(dir)); err == nil {
		has.disk = u.Free + sizeOf(dir)
	}
	return has
}

// sizeOf is the size in bytes of the files below a folder.
func sizeOf(dir string) (sum uint64) {
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				sum += uint64(info.Size())
			}
		}
		return nil // what cannot be read counts as nothing
	})
	return sum
}

// fits says whether a machine can bear the cost, and if not what is missing.
func (k cost) fits(has means, dir string) error {
	var errs []error
	if has.memory < uint64(k.Memory) {
		errs = append(errs, fmt.Errorf("the run needs %s of memory and %s are free: close other programs, or join from a larger machine",
			humanize.IBytes(uint64(k.Memory)), humanize.IBytes(has.memory)))
	}
	if d := k.GPU; !d.fits() {
		errs = append(errs, fmt.Errorf("%s: the run needs %s of its memory and %s are free: close what else uses it, lower --workers, or join with the processor: CUDA_VISIBLE_DEVICES= skein join …",
			d.Name, humanize.IBytes(uint64(d.Total)), humanize.IBytes(uint64(d.Free))))
	}
	if has.disk < uint64(k.Disk) {
		errs = append(errs, fmt.Errorf("the run needs up to %s on disk and %s are free in %s: free some, lower --quota, or choose another place with --data-dir",
			humanize.IBytes(uint64(k.Disk)), humanize.IBytes(has.disk), existing(dir)))
	}
	return errors.Join(errs...)
}

// tell prints the cost.
func (k cost) tell(out *console) {
	size := func(n int64) string { return humanize.IBytes(uint64(n)) }
	out.line("takes   download %s now and up to %s of token shards before the first step, memory %s, disk %s at most, %d of %d cores",
		size(k.Download), size(k.Stream), size(k.Memory), size(k.Disk), k.Threads, runtime.NumCPU())
	if d := k.GPU; d != nil {
		out.line("        %s of the memory of %s", size(d.Total), d.Name)
	}
	out.line("        each round up to %s sent, and as much received from each other worker", size(k.Up))
}
