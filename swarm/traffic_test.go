package swarm

import (
	"fmt"
	"testing"
)

// received runs rounds of contributions of size bytes among n workers and returns the most bytes that a worker's sockets
// received, over the bytes of the others' payloads.
func received(t testing.TB, n, rounds, size int) (ratio, perSecond float64) {
	t.Helper()
	w := paced(t, plain(rounds, 600_000), n, defaultPace())
	perSecond = w.runAll(rounds, size)
	useful := float64((n - 1) * rounds * size)
	for _, node := range w.nodes {
		_, in := node.Traffic()
		ratio = max(ratio, float64(in)/useful)
	}
	return ratio, perSecond
}

func TestBytesReceived(t *testing.T) {
	ratio, rate := received(t, 4, 2, 1_000_000)
	t.Logf("received ÷ useful %.3f, %.2f rounds/s", ratio, rate)
	if ratio > 1.1 {
		t.Errorf("workers receive %.2f × the useful bytes, want at most 1.1", ratio)
	}
}

// BenchmarkBytesReceived prints what scripts/wire-efficiency publishes: 8 MB contributions, 4 and 8 workers.
func BenchmarkBytesReceived(b *testing.B) {
	for _, n := range []int{4, 8} {
		b.Run(fmt.Sprint(n, "workers"), func(b *testing.B) {
			ratio, rate := received(b, n, b.N, 8_000_000)
			b.ReportMetric(ratio, "received/useful")
			b.ReportMetric(rate, "rounds/s")
		})
	}
}

// BenchmarkRounds measures how fast rounds follow each other when no training is in between, 4 workers on one machine.
func BenchmarkRounds(b *testing.B) {
	for _, size := range []int{1000, 900_000, 3_500_000} {
		b.Run(fmt.Sprint(size, "bytes"), func(b *testing.B) {
			w := paced(b, plain(b.N+1, 600_000), 4, defaultPace())
			if w.runAll(1, size); b.Failed() { // the mesh is up
				return
			}
			b.ReportMetric(w.runFrom(2, b.N+1, size), "rounds/s")
		})
	}
}
