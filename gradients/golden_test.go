package gradients_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/skein-train/skein/gradients"
)

// goldenDir is a folder of .npy files with outputs of public implementations, which SKEIN_GOLDEN names.
func goldenDir(t *testing.T) string {
	dir := os.Getenv("SKEIN_GOLDEN")
	if _, err := os.Stat(filepath.Join(dir, "quant_index.json")); err != nil || dir == "" {
		t.Skip("no golden files: point SKEIN_GOLDEN at them to compare")
	}
	return dir
}

func TestBlockCodecsEqualPublicOnes(t *testing.T) {
	dir := goldenDir(t)
	for _, codec := range []string{"int8", "e3m0"} {
		names, _ := filepath.Glob(filepath.Join(dir, "quant_*_"+codec+".npy"))
		if len(names) == 0 {
			t.Errorf("no golden files for %s", codec)
		}
		for _, path := range names {
			name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), "quant_"), "_"+codec+".npy")
			t.Run(codec+"/"+name, func(t *testing.T) {
				v := floats(npy(t, filepath.Join(dir, "in_"+name+"_s1.npy")))
				c, _ := codecFor(t, codec, len(v))
				src := c.Append(nil, gradients.Key{}, v, nil)
				codes := npy(t, path)
				if codec == "e3m0" {
					codes = pairs(codes)
				}
				scales := npy(t, filepath.Join(dir, "quant_"+name+"_scale.npy"))
				if want := slices.Concat(scales, codes); !bytes.Equal(src[16:], want) {
					t.Error("scales or codes differ")
				}
				got := make(gradients.Vec, len(v))
				must(t, gradients.Decoded(c, got, src))
				want := floats(npy(t, filepath.Join(dir, "quant_"+name+"_"+codec+"dec.npy")))
				if !slices.Equal(got, want) {
					t.Error("values differ")
				}
			})
		}
	}
}

// pairs puts two codes into each byte, the first one in the low half.
func pairs(codes []byte) []byte {
	if len(codes)%2 == 1 {
		codes = append(codes, 0)
	}
	out := make([]byte, len(codes)/2)
	for i := range out {
		out[i] = codes[2*i] | codes[2*i+1]<<4
	}
	return out
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
