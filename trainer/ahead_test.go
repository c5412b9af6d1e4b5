package trainer

import (
	"errors"
	"slices"
	"testing"

	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// queueing is a device that somebody may wait for.
type queueing struct{ device }

func (*queueing) Wait() {}

// noting is a source that notes what is read of it, and has nothing from position end on.
type noting struct {
	fake
	read []uint64
	end  uint64
}

func (s *noting) Sequence(dst []int32, position uint64) error {
	if position >= s.end {
		return errNotYet
	}
	s.read = append(s.read, position)
	return s.fake.Sequence(dst, position)
}

var errNotYet = errors.New("nothing is there yet")

// The first micro-batch of the next step is read before this one's end, once, and within the reservation; if it is not there yet,
// that is the next step's business.
func TestReadsAhead(t *testing.T) {
	o, data := tiny(), &noting{fake: tinyData, end: 8}
	o.Engine = &queueing{device{host: reference.New()}}
	r, err := New(o, data)
	if err != nil {
		t.Fatal(err)
	}
	same := newReplica(t, tiny())
	begin(t, r, shards.Seat{Count: 13})
	step := func(want ...uint64) {
		t.Helper()
		data.read = nil
		if got, want := steps(t, r, 1), steps(t, same, 1); got != want {
			t.Errorf("the loss is %g, want %g", got, want)
		}
		if !slices.Equal(data.read, want) {
			t.Errorf("read %v, want %v", data.read, want)
		}
	}
	step(0, 1, 2, 3, 4, 5)
	if _, err := r.Evaluate(t.Context(), paramsOf(r), 0, 2); err != nil { // which takes the batch's place
		t.Fatal(err)
	}
	step(4, 5, 6, 7)
	if _, err := r.Step(t.Context()); !errors.Is(err, errNotYet) {
		t.Errorf("step: %v", err)
	}
	data.end = 20
	step(8, 9, 10, 11) // what is left is no batch
}
