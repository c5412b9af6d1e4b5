package engine

import "testing"

func TestClipScale(t *testing.T) {
	for _, c := range []struct{ norm, limit, want float64 }{
		{5, 0, 1}, {0.5, 1, 1}, {1, 1, 1}, {4, 1, 1 / (4 + 1e-6)}, {0, 1, 1},
	} {
		if got := ClipScale(c.norm, c.limit); got != c.want {
			t.Errorf("norm %g, limit %g: %g, want %g", c.norm, c.limit, got, c.want)
		}
	}
}
