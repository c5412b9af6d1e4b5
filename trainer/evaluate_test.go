package trainer

import (
	"context"
	"errors"
	"math"
	"slices"
	"testing"
)

func TestEvaluateIsTheMeanOverTheSplit(t *testing.T) {
	r := newReplica(t, tiny())
	steps(t, r, 2)
	params := paramsOf(r)
	all, err := r.Evaluate(context.Background(), params, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	// 5 sequences: two batches of 2 and one that is left over. One by one must give the same mean.
	o := tiny()
	o.BatchSize, o.MicroBatchSize = 1, 1
	one := newReplica(t, o)
	want, err := one.Evaluate(context.Background(), params, 0, 5)
	if err != nil {
		t.Fatal(err)
	}
	if math.Abs(all-want) > 1e-6 {
		t.Errorf("loss %.9f in batches, %.9f one by one", all, want)
	}
	if few, _ := r.Evaluate(context.Background(), params, 0, 2); few == all {
		t.Error("one batch has the same loss as the whole split")
	}
	head, _ := r.Evaluate(context.Background(), params, 0, 2)
	tail, _ := r.Evaluate(context.Background(), params, 2, 5)
	if math.Abs((2*head+3*tail)/5-all) > 1e-6 {
		t.Errorf("parts of losses %.9f and %.9f, the whole has %.9f", head, tail, all)
	}
	if _, err := r.Evaluate(context.Background(), params, 3, 6); err == nil {
		t.Error("a sequence behind the split was evaluated")
	}
}

func TestEvaluateAndGenerateLeaveTrainingAlone(t *testing.T) {
	a, b := newReplica(t, tiny()), newReplica(t, tiny())
	other := slices.Clone(paramsOf(a))
	for i := range other {
		other[i] *= 2
	}
	steps(t, a, 2)
	steps(t, b, 2)
	if _, err := a.Evaluate(context.Background(), other, 0, 5); err != nil {
		t.Fatal(err)
	}
	if err := a.Generate(context.Background(), other, []int32{1}, 3, 1, 0, 1, func(int32) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if steps(t, a, 2) != steps(t, b, 2) || !slices.Equal(paramsOf(a), paramsOf(b)) {
		t.Error("evaluation changed the training")
	}
	if _, err := a.Evaluate(context.Background(), other[1:], 0, 5); err == nil {
		t.Error("a vector of another model was accepted")
	}
}

func TestGenerateContinuesTheRule(t *testing.T) {
	o := tiny()
	o.Steps = 400
	r := newReplica(t, o)
	steps(t, r, 400)
	var got []int32
	emit := func(id int32) error { got = append(got, id); return nil }
	// longer than the window of 6, so that it slides
	if err := r.Generate(context.Background(), paramsOf(r), []int32{2}, 12, 0, 0, 1, emit); err != nil {
		t.Fatal(err)
	}
	want := make([]int32, 12)
	for i, x := 0, int32(2); i < len(want); i++ {
		x = (3*x + 1) % 13
		want[i] = x
	}
	if !slices.Equal(got, want) {
		t.Errorf("generated %v, the rule says %v", got, want)
	}
}

func TestGenerateSamples(t *testing.T) {
	r := newReplica(t, tiny())
	draw := func(temperature float64, topK int, seed uint64) (out []int32) {
		t.Helper()
		err := r.Generate(context.Background(), paramsOf(r), []int32{1, 2}, 20, temperature, topK, seed, func(id int32) error { out = append(out, id); return nil })
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if !slices.Equal(draw(1, 0, 5), draw(1, 0, 5)) {
		t.Error("one seed gives two texts")
	}
	if slices.Equal(draw(1, 0, 5), draw(1, 0, 6)) {
		t.Error("two seeds give one text")
	}
	if !slices.Equal(draw(5, 1, 1), draw(0, 0, 1)) {
		t.Error("top-1 is not the likeliest token")
	}
	stop := errors.New("enough")
	if err := r.Generate(context.Background(), paramsOf(r), []int32{1}, 5, 0, 0, 0, func(int32) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("emit's error got lost: %v", err)
	}
	for _, bad := range []error{
		r.Generate(context.Background(), paramsOf(r), nil, 1, 0, 0, 0, nil),
		r.Generate(context.Background(), paramsOf(r), []int32{13}, 1, 0, 0, 0, nil),
		r.Generate(context.Background(), paramsOf(r), []int32{1}, 1, math.NaN(), 0, 0, nil),
		r.Generate(context.Background(), paramsOf(r), []int32{1}, 1, 0, -1, 0, nil),
	} {
		if bad == nil {
			t.Error("an impossible request was accepted")
		}
	}
}
