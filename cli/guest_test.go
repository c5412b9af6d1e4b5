package cli

import (
	"slices"
	"testing"
	"time"
)

// Being without peers is told once each time that it has lasted.
func TestSolitude(t *testing.T) {
	var s solitude
	var told []int
	peers := func(second int) int { // there, away for 20 s, there, away for 100 s, there, away
		if second < 10 || second >= 30 && second < 40 || second >= 140 && second < 150 {
			return 2
		}
		return 0
	}
	for second := range 200 {
		if s.since(time.Unix(int64(1000+second), 0), peers(second)) {
			told = append(told, second)
		}
	}
	if want := []int{70, 180}; !slices.Equal(told, want) {
		t.Errorf("told at %v, want %v", told, want)
	}
}
