package gradients_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
)

// TestInt8Golden compares with outputs of public implementations, in a folder of .npy files that SKEIN_GOLDEN names.
func TestInt8Golden(t *testing.T) {
	dir := os.Getenv("SKEIN_GOLDEN")
	if dir == "" {
		t.Skip("no golden files: point SKEIN_GOLDEN at them to compare")
	}
	names, _ := filepath.Glob(filepath.Join(dir, "quant_*_int8.npy"))
	if len(names) == 0 {
		t.Skip("no golden files: point SKEIN_GOLDEN at them to compare")
	}
	for _, path := range names {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "quant_"), "_int8.npy")
		t.Run(name, func(t *testing.T) {
			v := floats(npy(t, filepath.Join(dir, "in_"+name+"_s1.npy")))
			c, _ := codecFor(t, "int8", len(v))
			src := c.Append(nil, gradients.Key{}, v, nil)
			scales := npy(t, filepath.Join(dir, "quant_"+name+"_scale.npy"))
			if want := append(scales, npy(t, path)...); !bytes.Equal(src[16:], want) {
				t.Error("scales or codes differ")
			}
			got := make(gradients.Vec, len(v))
			if err := gradients.Decoded(c, got, src); err != nil {
				t.Fatal(err)
			}
			for i, want := range floats(npy(t, filepath.Join(dir, "quant_"+name+"_int8dec.npy"))) {
				if got[i] != want {
					t.Fatalf("value %d: got %g, want %g", i, got[i], want)
				}
			}
		})
	}
}

// npy returns the data behind the header of a version 1.0 file.
func npy(t *testing.T, path string) []byte {
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b[10+int(binary.LittleEndian.Uint16(b[8:])):]
}

func floats(b []byte) gradients.Vec {
	v := make(gradients.Vec, len(b)/4)
	for i := range v {
		v[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return v
}
