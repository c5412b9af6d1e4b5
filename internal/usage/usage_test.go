package usage

import (
	"runtime"
	"testing"
	"time"
)

func TestCPU(t *testing.T) {
	before, limit := CPU(), time.Now().Add(10*time.Second)
	if before == 0 {
		t.Skip("this system does not say")
	}
	for CPU()-before < 20*time.Millisecond {
		if time.Now().After(limit) {
			t.Fatalf("%v after ten seconds of work", CPU()-before)
		}
	}
}

func TestPeakMemory(t *testing.T) {
	before := PeakMemory()
	if before == 0 {
		t.Skip("this system does not say")
	}
	b := make([]byte, before+64<<20)
	for i := 0; i < len(b); i += 4096 {
		b[i] = 1
	}
	if after := PeakMemory(); after < before+64<<20 {
		t.Errorf("%d bytes before, %d after %d more were written", before, after, len(b))
	}
	runtime.KeepAlive(b)
}
