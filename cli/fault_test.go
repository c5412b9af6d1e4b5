package cli

import (
	"testing"
)

func TestParseFault(t *testing.T) {
	if f, err := parseFault("", 4); f != nil || err != nil {
		t.Errorf("%v, error %v", f, err)
	}
	if f, err := parseFault("w2@7", 4); err != nil || *f != (fault{"w2", 7}) {
		t.Errorf("%v, error %v", f, err)
	}
	for _, s := range []string{"w2", "w2@", "w2@0", "w2@-1", "w2@7x", "@7", "w4@1", "w-1@1", "w02@1", "x@1", "w1@1@1"} {
		if f, err := parseFault(s, 4); err == nil {
			t.Errorf("%q is read as %v", s, f)
		}
	}
}
