package gradients_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"github.com/skein-train/skein/gradients"
)

// testdata/golden.json holds payloads that testdata/golden.py made from docs/wire.md, without this package.
func TestPayloadsOfAnotherHand(t *testing.T) {
	b, err := os.ReadFile("testdata/golden.json")
	must(t, err)
	var golden struct {
		Shapes    [][]int
		Departure uint64
		Values    []byte
		Cases     []struct {
			Codec   string
			Payload []byte
			Decoded string `json:"decoded_sha256"`
		}
	}
	must(t, json.Unmarshal(b, &golden))
	var l gradients.Layout
	for i, shape := range golden.Shapes {
		l = append(l, gradients.Tensor{Name: string(rune('a' + i)), Shape: shape, Off: l.Len()})
	}
	v := floats(golden.Values)
	for _, k := range golden.Cases {
		t.Run(k.Codec, func(t *testing.T) {
			c, err := gradients.New(k.Codec, l, l.Fragments()[0])
			must(t, err)
			st := slots(c, len(v))
			got := c.Append(nil, gradients.Key{Departure: golden.Departure}, v, st)
			if !bytes.Equal(got, k.Payload) {
				at := 0
				for at < min(len(got), len(k.Payload)) && got[at] == k.Payload[at] {
					at++
				}
				t.Errorf("%d bytes, expected %d; the first difference is at %d", len(got), len(k.Payload), at)
			}
			out := make(gradients.Vec, len(v))
			must(t, gradients.Decoded(c, out, k.Payload))
			h := sha256.New()
			gradients.HashInto(h, out)
			if hex.EncodeToString(h.Sum(nil)) != k.Decoded {
				t.Error("the payload is decoded to other values")
			}
		})
	}
}

func slots(c gradients.Codec, n int) []gradients.Vec {
	st := make([]gradients.Vec, c.Slots())
	for i := range st {
		st[i] = make(gradients.Vec, n)
	}
	return st
}
