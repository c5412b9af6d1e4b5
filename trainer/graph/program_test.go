package graph

import (
	"testing"

	"github.com/skein-train/skein/trainer/engine/reference"
	"github.com/skein-train/skein/trainer/ops"
)

func TestPlanSharesMemory(t *testing.T) {
	e := reference.New()
	defer e.Close()
	s := Shape{Model: small, Layout: layout(t, small, 1), Batch: 2, Time: 8}
	params, grads := e.Alloc(s.Layout.Len()), e.Alloc(s.Layout.Len())
	a := NewArena(e)
	train, err := Train(e, s, params, grads, a)
	if err != nil {
		t.Fatal(err)
	}
	loss, err := Loss(e, s, params, a)
	if err != nil {
		t.Fatal(err)
	}
	// A forward pass alone needs the residual stream and one branch, whatever the number of layers.
	if loss.Memory() > train.Memory()/3 {
		t.Errorf("loss needs %d bytes, training %d", loss.Memory(), train.Memory())
	}
	sum := 0
	turns, err := turnsOf(s)
	if err != nil {
		t.Fatal(err)
	}
	for _, turn := range turns {
		for _, v := range append(turn.Side, turn.Out) {
			if !v.Fixed() {
				sum += 4 * v.Size()
			}
		}
	}
	t.Logf("training: %d bytes of activations, %d without sharing", train.Memory(), sum)
	if train.Memory() > 2*sum/3 {
		t.Errorf("training needs %d bytes, without sharing %d", train.Memory(), sum)
	}
}

func turnsOf(s Shape) ([]ops.Turn, error) {
	e := reference.New()
	p := &Program{engine: e}
	b := ops.NewBuilder(e, &p.Pass, 0)
	p.tokens, p.target, p.loss = e.Alloc(s.tokens()), e.Alloc(s.tokens()), e.Alloc(1)
	w := newWeights(b, s, e.Alloc(s.Layout.Len()), e.Alloc(s.Layout.Len()))
	if err := b.Gradients(lossOf(b, s, w, p), w.all); err != nil {
		return nil, err
	}
	return b.Order()
}

func TestSampleIsForOneSequence(t *testing.T) {
	e := reference.New()
	defer e.Close()
	s := Shape{Model: small, Layout: layout(t, small, 1), Batch: 2, Time: 8}
	if _, err := Sample(e, s, e.Alloc(s.Layout.Len()), NewArena(e)); err == nil {
		t.Error("a sampling program for two sequences was built")
	}
}

func TestDeepModelsBuild(t *testing.T) {
	m := small
	m.NumHiddenLayers = 40 // enough nodes to notice costs that grow too fast
	e := reference.New()
	defer e.Close()
	l := layout(t, m, 1)
	s := Shape{Model: m, Layout: l, Batch: 1, Time: 4}
	p, err := Train(e, s, e.Alloc(l.Len()), e.Alloc(l.Len()), NewArena(e))
	if err != nil {
		t.Fatal(err)
	}
	p.Feed(make([]int32, 4), make([]int32, 4))
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
}
