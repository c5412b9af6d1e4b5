package cuda

import (
	"errors"
	"slices"
	"testing"
)

// What is taken down is not done, and each replay reads what is there by then.
func TestRecord(t *testing.T) {
	e := opened(t)
	x, y := e.Alloc(3), e.Alloc(3)
	calls := func() error {
		e.Add(y, y, x)
		e.Copy(x, y)
		e.Zero(y.Slice(0, 1))
		return nil
	}
	before := e.Stats().Launches
	replay, err := e.Record(calls)
	if err != nil {
		t.Fatal(err)
	}
	got := make([]float32, 3)
	for i, want := range [][]float32{{0, 3, 5}, {0, 6, 10}} {
		if i == 0 {
			e.Upload(x, []float32{1, 2, 3})
			e.Upload(y, []float32{0, 1, 2})
		}
		replay()
		if e.Download(got, y); !slices.Equal(got, want) {
			t.Errorf("replay %d made %v, want %v", i, got, want)
		}
	}
	if s := e.Stats(); s.Launches != before || s.Replays != 2 {
		t.Errorf("%+v, want two replays and no launches", s)
	}
}

func TestRecordThatFails(t *testing.T) {
	e := opened(t)
	broken := errors.New("broken")
	if _, err := e.Record(func() error { return broken }); !errors.Is(err, broken) || !errors.Is(e.Err(), broken) {
		t.Errorf("got %v, and the engine keeps %v", err, e.Err())
	}
	if _, err := e.Record(func() error { return nil }); !errors.Is(err, broken) {
		t.Errorf("after a failure: %v", err)
	}
	e.err = nil // so that it closes well

	b := e.Alloc(3)
	for name, call := range map[string]func(){
		"an upload": func() { e.Upload(b, make([]float32, 3)) }, "a download": func() { e.Download(make([]float32, 3), b) },
	} {
		if _, err := e.Record(func() error { call(); return nil }); !errors.Is(err, errCapturedCopy) {
			t.Errorf("%s was taken down: %v", name, err)
		}
		e.err = nil
	}
}
