package aggregator_test

import (
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
)

// A run whose workers have died below min_peers goes on once others ask to join: the overdue round counts nobody, the dead
// leave, who was in stays, and the newcomers make up the number in the next round.
func TestJoinersRescueAShortRun(t *testing.T) {
	c := newCrowd(1, 1, 4, Schedule{Every: 1, Fragments: 1, Steps: 4})
	c.manifest.MinPeers = 3
	r := c.machine(3)
	if err := r.Offer(c.offer(0, 1)); err != nil {
		t.Fatal(err)
	}
	r.Elapse(c.manifest.Deadline)
	if _, due := r.Next(); due || r.Short() != 2 {
		t.Fatalf("a round of one closes, or %d are said to be missing", r.Short())
	}
	r.Join(c.peers[3].ID)
	b, due := r.Next()
	if !due || len(b.List) != 0 || b.BaseRoot != (Hash{}) || !slices.Equal(b.Left, []Slot{1, 2}) || len(b.Joined) != 1 || b.Joined[0].Slot != 3 {
		t.Fatalf("due %v: %+v", due, b)
	}
	if err := r.Committed(c.certify(&b)); err != nil {
		t.Fatal(err)
	}
	if got := r.Chain().Roster().Slots(); !slices.Equal(got, []Slot{0, 3}) {
		t.Errorf("roster %v, expected slots 0 and 3", got)
	}
}
