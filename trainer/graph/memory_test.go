package graph

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine/reference"
)

// What programs take of the arena, as a part of what the results of all ops take together: at most 60 %, and 35 % where blocks
// are computed again, of the results of the program that computes nothing again.
func TestMemoryIsShared(t *testing.T) {
	for name, m := range map[string]Model{
		"tiny":            {VocabSize: 256, HiddenSize: 128, IntermediateSize: 352, NumHiddenLayers: 4, NumAttentionHeads: 4, NumKeyValueHeads: 4},
		"wide":            {VocabSize: 512, HiddenSize: 64, IntermediateSize: 256, NumHiddenLayers: 8, NumAttentionHeads: 8, NumKeyValueHeads: 2},
		"tied, head norm": {VocabSize: 96, HiddenSize: 96, IntermediateSize: 256, NumHiddenLayers: 4, NumAttentionHeads: 3, NumKeyValueHeads: 1, TieWordEmbeddings: true, QKNorm: true},
	} {
		e := reference.New()
		l := layout(t, m, 1)
		params, grads := e.Alloc(l.Len()), e.Alloc(l.Len())
		memory := func(recompute bool) (planned, results int) {
			p, err := Train(e, Shape{Model: m, Layout: l, Batch: 2, Time: 32, Recompute: recompute}, params, grads, NewArena(e))
			if err != nil {
				t.Fatal(err)
			}
			return p.Memory(), p.Results()
		}
		kept, sum := memory(false)
		again, _ := memory(true)
		t.Logf("%s: %.1f %% of the results, %.1f %% with blocks computed again", name, 100*float64(kept)/float64(sum), 100*float64(again)/float64(sum))
		if 100*kept > 60*sum || 100*again > 35*sum {
			t.Errorf("%s: %d and %d bytes of %d", name, kept, again, sum)
		}
		_ = e.Close()
	}
}
