package cpu

import (
	"math/rand/v2"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/enginetest"
	"github.com/skein-train/skein/trainer/engine/internal/hostmem"
)

// The head in blocks of rows is the head in one, but for the order in which dw is summed.
func TestHeadInBlocks(t *testing.T) {
	const n, v, d = 300, 20, 6
	for _, precision := range []string{"fp32", "bf16"} {
		var results [2][][]float32
		for i, most := range []int{headLogits, 1} {
			e, err := Open(engine.Options{Precision: precision})
			if err != nil {
				t.Fatal(err)
			}
			e.most = most
			r := rand.New(rand.NewPCG(1, 2))
			x, w, ids := filled(e, r, n*d), filled(e, r, v*d), e.Alloc(n)
			loss, dx, dw := engine.Scalars(e, 1), e.Alloc(n*d), e.Alloc(v*d)
			e.Head(loss, dx, dw, x, &engine.Weight{Master: w, Out: v, In: d}, ids, n, engine.Loss{Scale: 1})
			results[i] = [][]float32{{float32(hostmem.Float64(loss)[0])}, f32(dx), f32(dw)}
		}
		for i, name := range []string{"loss", "dx", "dw"} {
			enginetest.Close(t, name, results[1][i], results[0][i], enginetest.Eps)
		}
	}
}
