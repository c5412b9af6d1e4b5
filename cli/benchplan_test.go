package cli

import (
	"reflect"
	"testing"
	"time"

	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

// planOf is the plan of a cell's run of three workers.
func planOf(dealing string, cell configs.Cell) bench.Options {
	m := &matrix{Matrix: configs.Matrix{Dealing: dealing, Step: time.Second, Latency: 40 * time.Millisecond}}
	j := job{cell: cell, seed: 7}
	j.config.Swarm.LocalWorkers = 3
	return m.plan(j, 1e6)
}

// Runs of one seed read the same text, whatever came of the rounds before; a swarm's read what its log deals.
func TestDealing(t *testing.T) {
	roster, one, other := []uint32{0, 1, 2}, [32]byte{1}, [32]byte{2}
	paired, certified := planOf("paired", configs.Cell{}).Assign, planOf("certified", configs.Cell{}).Assign
	differ := false
	for cursor := range uint64(20) {
		if a, b := paired(one, cursor, roster, 8), paired(other, cursor, roster, 8); !reflect.DeepEqual(a, b) {
			t.Errorf("at %d paired runs are dealt %v and %v", cursor, a, b)
		}
		if got, want := certified(one, cursor, roster, 8), shards.Assign(one, cursor, roster, 8); !reflect.DeepEqual(got, want) {
			t.Errorf("at %d the log deals %v, the run %v", cursor, want, got)
		}
		differ = differ || !reflect.DeepEqual(certified(one, cursor, roster, 8), certified(other, cursor, roster, 8))
	}
	if !differ {
		t.Error("the log does not decide what is dealt")
	}
}

func TestAccidentsOfACell(t *testing.T) {
	plan := planOf("paired", configs.Cell{Lost: 0.25, Faults: []configs.Fault{{Worker: 2, Step: 9, Kind: "slow", For: time.Minute, Factor: 3}}})
	if want := []bench.Fault{{Worker: 2, Step: 9, Kind: "slow", For: time.Minute, Factor: 3}}; !reflect.DeepEqual(plan.Faults, want) {
		t.Errorf("faults %+v, want %+v", plan.Faults, want)
	}
	lost, again := 0, planOf("paired", configs.Cell{Lost: 0.25})
	for departure := range uint64(4000) {
		if plan.Lost(1, departure) {
			lost++
		}
		if plan.Lost(1, departure) != again.Lost(1, departure) {
			t.Fatal("what is lost hangs on more than the seed")
		}
	}
	if lost < 900 || lost > 1100 {
		t.Errorf("%d of 4000 contributions are lost, want a quarter", lost)
	}
	if planOf("paired", configs.Cell{}).Lost != nil {
		t.Error("contributions are lost where none should be")
	}
}
