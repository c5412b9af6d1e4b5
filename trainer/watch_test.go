package trainer

import (
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/shards"
)

// What the ops of a step say that they compute is what FLOPs counts for its tokens, and every part of the step is told of.
func TestWatch(t *testing.T) {
	for _, recompute := range []string{"none", "block"} {
		for _, tied := range []bool{false, true} {
			o := tiny()
			o.Recompute, o.Model.TieWordEmbeddings = recompute, tied
			defer o.Engine.Close()
			r, err := New(o, tinyData)
			if err != nil {
				t.Fatal(err)
			}
			if err := r.Begin(shards.Seat{Count: 100}); err != nil {
				t.Fatal(err)
			}
			calls, products, again := map[string]int{}, int64(0), 0
			r.Watch(func(e Event) {
				calls[e.Op]++
				if e.Took < 0 || e.Took > time.Minute || e.FLOPs < 0 || (e.Bytes <= 0 && e.Op != "data" && e.Op != "refresh") {
					t.Errorf("event %+v", e)
				}
				kind := strings.TrimSuffix(e.Op, ".grad")
				switch {
				case e.Again:
					again++
				case kind == "linear" || kind == "attend" || kind == "head":
					products += e.FLOPs
				}
			})
			if _, err := r.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
			tokens := int64(o.BatchSize * tinyData.seqLen)
			if want := tokens * FLOPs(o.Model, tinyData.seqLen); products != want {
				t.Errorf("recompute %s: the ops count %d FLOPs, the formula %d", recompute, products, want)
			}
			micros, layers := o.BatchSize/o.MicroBatchSize, o.Model.NumHiddenLayers
			for op, want := range map[string]int{"data": micros, "refresh": 1, "optimizer": 1, "attend.grad": micros * layers, "linear.grad": 4 * micros * layers, "head": micros, "extract": 0} {
				if calls[op] != want {
					t.Errorf("recompute %s: %d events of %s, want %d", recompute, calls[op], op, want)
				}
			}
			if (again > 0) != (recompute == "block") {
				t.Errorf("recompute %s: %d ops were computed again", recompute, again)
			}
			r.Watch(nil)
			calls = nil // a further event would panic
			if _, err := r.Step(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
