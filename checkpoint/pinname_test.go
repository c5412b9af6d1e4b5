package checkpoint_test

import (
	"errors"
	"io/fs"
	"testing"
	"testing/fstest"

	"github.com/skein-train/skein/checkpoint"
)

func TestPinNameOf(t *testing.T) {
	in := func(state string) fs.FS { return fstest.MapFS{"skein/state.json": {Data: []byte(state)}} }
	name, err := checkpoint.PinNameOf(in(`{"run": "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", "seq": 12, "more": true}`))
	if err != nil || name != "skein/00112233/00000000000000000012" {
		t.Errorf("%q, error %v", name, err)
	}
	for _, bad := range []string{"", "[]", `{"run": "00"}`, `{"seq": -1}`} {
		if name, err := checkpoint.PinNameOf(in(bad)); !errors.Is(err, checkpoint.ErrMalformed) {
			t.Errorf("%q: %q, error %v", bad, name, err)
		}
	}
	if _, err := checkpoint.PinNameOf(fstest.MapFS{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no checkpoint: error %v", err)
	}
}
