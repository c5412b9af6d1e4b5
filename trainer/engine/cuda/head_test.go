package cuda_test

import (
	"math"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
)

// TestLossTellsNaN: one logit that is no number makes the loss none, whichever thread has it.
func TestLossTellsNaN(t *testing.T) {
	const n, d, v = 2, 8, 600
	for _, broken := range []int{0, 300, v - 1} {
		e := open(t, 1)
		weights := make([]float32, v*d)
		weights[broken*d] = float32(math.NaN())
		w := engine.Weight{Master: e.Alloc(v * d), Out: v, In: d}
		e.Upload(w.Master, weights)
		targets, loss := e.Alloc(n), engine.Scalars(e, 1)
		e.UploadInt32(targets, []int32{1, 2})
		e.Head(loss, engine.Buf{}, engine.Buf{}, e.Alloc(n*d), &w, targets, n, engine.Loss{Scale: 1})
		var got [1]float64
		if e.Get(got[:], loss); !math.IsNaN(got[0]) {
			t.Errorf("logit %d is no number, and the loss is %v", broken, got[0])
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
