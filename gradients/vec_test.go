package gradients_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

func TestLayout(t *testing.T) {
	l := codectest.Layout()
	if err := l.Validate(); err != nil {
		t.Fatal(err)
	}
	if l.Len() != 15+4160+37+1 {
		t.Errorf("length %d", l.Len())
	}
	want := []gradients.Fragment{{ID: 0, Lo: 0, Hi: 15}, {ID: 1, Lo: 15, Hi: 4213}}
	if got := l.Fragments(); !slices.Equal(got, want) {
		t.Errorf("fragments %v, want %v", got, want)
	}
	in := l.In(want[1])
	if len(in) != 3 || in[0].Off != 0 || in[1].Off != 4160 || l[1].Off != 15 {
		t.Errorf("tensors of fragment 1: %v", in)
	}
	if got, ok := l.Find("vector"); !ok || got.Len() != 37 {
		t.Errorf("find: %v %v", got, ok)
	}
	if _, ok := l.Find("nothing"); ok {
		t.Error("found a tensor that is not there")
	}
	v := make(gradients.Vec, l.Len())
	part := want[0].Of(v)
	if part[3] = 1; v[3] != 1 || cap(part) != 15 {
		t.Error("Of does not share memory, or lets append run into the neighbour")
	}
}

func TestLayoutsThatAreRefused(t *testing.T) {
	for what, damage := range map[string]func(l gradients.Layout){
		"name":     func(l gradients.Layout) { l[2].Name = l[0].Name },
		"shape":    func(l gradients.Layout) { l[1].Shape = []int{65, 0} },
		"starts":   func(l gradients.Layout) { l[2].Off++ },
		"fragment": func(l gradients.Layout) { l[3].Fragment = 3 },
		"expected": func(l gradients.Layout) { l[0].Fragment = 1 },
	} {
		l := codectest.Layout()
		damage(l)
		if err := l.Validate(); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: got error %v", what, err)
		}
	}
}
