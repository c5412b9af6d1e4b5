package cli

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/trainer"
)

var parity = flag.String("parity", "", "train this run file on what scripts/parity-methods recorded beside it, and write the loss into a .json beside it")

// TestParity is no test unless scripts/parity-methods calls it: one run through the loop of every worker, from the weights and on
// the windows that another program trains with.
func TestParity(t *testing.T) {
	if *parity == "" {
		t.Skip("scripts/parity-methods runs it")
	}
	cfg, err := configs.Load(*parity, nil)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r := recorded{dir: filepath.Join(filepath.Dir(*parity), fmt.Sprintf("seed-%d", cfg.Seed)), width: cfg.Data.SeqLen + 1, workers: cfg.Swarm.LocalWorkers, batch: cfg.Train.BatchSize}
	r.train, r.validation = r.read(t, "train.u8"), r.read(t, "validation.u8")
	cfg.Train.Steps = len(r.train) / (r.width * r.workers * r.batch) // a run file has whole rounds only
	loss, rounds := r.run(t, cfg)
	out, err := json.Marshal(map[string]any{"val": loss, "rounds": rounds, "seconds": time.Since(began).Seconds()})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(*parity, ".yaml")+".json", out, 0o644); err != nil {
		t.Fatal(err)
	}
}

// recorded is a folder with all that a run could otherwise draw by itself: the first weights, a file of float32 for each tensor, and
// windows of bytes end to end, those of training in the order of steps and, within a step, of workers.
type recorded struct {
	dir               string
	width             int // of a window
	workers, batch    int
	train, validation []byte
}

func (r recorded) read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// run simulates the swarm and evaluates the shared parameters that it ends with.
func (r recorded) run(t *testing.T, cfg configs.Config) (loss float64, rounds int) {
	whole := cfg // to the replicas the model is in one piece: they give and take any stretch of it
	whole.Sync.Fragments = 1
	p, err := partsOf(whole)
	if err != nil {
		t.Fatal(err)
	}
	p.layout = inOrder(p.layout, cfg.Sync.Fragments, cfg.Model.NumHiddenLayers)
	first := make(gradients.Vec, p.layout.Len())
	for _, tensor := range p.layout {
		if _, err := binary.Decode(r.read(t, tensor.Name+".f32"), binary.LittleEndian, first[tensor.Off:tensor.Off+tensor.Len()]); err != nil {
			t.Fatal(tensor.Name, err)
		}
	}
	var replicas []*replica
	for w := range r.workers {
		one, err := newReplica(whole, w, recordedSeat{r, w})
		if err != nil {
			t.Fatal(err)
		}
		defer one.close()
		one.Write(first, gradients.Fragment{Hi: len(first)})
		replicas = append(replicas, one)
	}
	var last gradients.Vec
	terms := benchTerms(cfg, p)
	terms.Sequences = math.MaxUint32
	_, err = bench.Simulate(t.Context(), bench.Options{
		Manifest: terms, Method: p.method, Layout: p.layout, Cores: 1, Hosts: slices.Repeat([]bench.Host{{Step: time.Second}}, r.workers),
		Replica: func(w int) (aggregator.Replica, error) { return replicas[w], nil },
		Assign: func(_ [32]byte, cursor uint64, roster []uint32, _ uint64) []uint64 { // everybody is as far; each seat has windows of its own
			starts := make([]uint64, len(roster))
			for i := range starts {
				starts[i] = cursor / uint64(len(roster))
			}
			return starts
		},
		Landed: func(_ context.Context, w int, _ time.Duration, l aggregator.Landing) error {
			if n := len(l.Certificate.List); n != r.workers {
				return fmt.Errorf("round %d counts %d of %d workers", l.Certificate.Seq, n, r.workers)
			}
			if w == 0 {
				last, rounds = append(last[:0], l.Worker.State().Anchor...), rounds+1
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if loss, err = replicas[0].Evaluate(t.Context(), last, 0, len(r.validation)/r.width); err != nil {
		t.Fatal(err)
	}
	return loss, rounds
}

// inOrder cuts a layout into fragments of neighbouring blocks: the embedding goes with the first one, the last norm and the head with
// the last. No run file can say so: Skein deals blocks out in strides and keeps what is in none of them for a fragment of its own.
func inOrder(l gradients.Layout, fragments, blocks int) gradients.Layout {
	block := 0
	for i := range l {
		_, _ = fmt.Sscanf(l[i].Name, "model.layers.%d.", &block) // what is in no block stays with the one before
		l[i].Fragment = block * fragments / blocks
	}
	return l
}

// recordedSeat is what one worker sees of it.
type recordedSeat struct {
	recorded
	worker int
}

// Sequence implements shards.Source.
func (s recordedSeat) Sequence(dst []int32, position uint64) error {
	step, row := int(position)/s.batch, int(position)%s.batch
	return s.window(dst, s.train, (step*s.workers+s.worker)*s.batch+row)
}

// Validation implements shards.Source.
func (s recordedSeat) Validation(dst []int32, index int) error {
	return s.window(dst, s.validation, index)
}

func (s recordedSeat) window(dst []int32, of []byte, index int) error {
	if (index+1)*s.width > len(of) {
		return fmt.Errorf("window %d is behind the %d that were recorded", index, len(of)/s.width)
	}
	for i, b := range of[index*s.width : (index+1)*s.width] {
		dst[i] = int32(b)
	}
	return nil
}

// Validations implements shards.Source.
func (s recordedSeat) Validations() int { return len(s.validation) / s.width }

// Vocab implements shards.Source.
func (s recordedSeat) Vocab() int { return 256 }

// SeqLen implements shards.Source.
func (s recordedSeat) SeqLen() int { return s.width - 1 }

func TestRecordedWindowsGoToWorkersInTurn(t *testing.T) {
	r := recorded{width: 2, workers: 3, batch: 2}
	for i := range byte(2 * 3 * 2) { // of two steps
		r.train = append(r.train, i, i)
	}
	for position, want := range [][]int32{{0, 2, 4}, {1, 3, 5}, {6, 8, 10}, {7, 9, 11}} {
		for w, window := range want {
			got := make([]int32, 2)
			if err := (recordedSeat{r, w}).Sequence(got, uint64(position)); err != nil || got[0] != window {
				t.Errorf("worker %d reads window %d at position %d, want %d (%v)", w, got[0], position, window, err)
			}
		}
	}
	if (recordedSeat{r, 0}).Sequence(make([]int32, 2), 4) == nil {
		t.Error("a window that was never recorded is read")
	}
}

func TestInOrderKeepsNeighboursTogether(t *testing.T) {
	cfg := configs.Default()
	l, err := trainer.LayoutOf(modelOf(cfg, 256), 1)
	if err != nil {
		t.Fatal(err)
	}
	var starts []string
	l = inOrder(l, 4, cfg.Model.NumHiddenLayers)
	for _, f := range l.Fragments() {
		starts = append(starts, l.In(f)[0].Name)
	}
	layer := "model.layers.%d.input_layernorm.weight"
	if want := []string{"model.embed_tokens.weight", fmt.Sprintf(layer, 1), fmt.Sprintf(layer, 2), fmt.Sprintf(layer, 3)}; !slices.Equal(starts, want) || l.Validate() != nil {
		t.Errorf("fragments start with %v, want %v (%v)", starts, want, l.Validate())
	}
}
