package gradients_test

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

// The hash of a run of codecs and transforms must be this on every machine; scripts/arm64-bits repeats the test on
// arm64 and on amd64 with fused multiply-add. A change here means that old and new programs cannot train together.
const stateBits = "f6b121fc3b8a34e1b7304c7bb3103c993d5bf33d850c49e533e0a1a615370573"

// The bytes behind zstd may change with the library: old payloads still decode, but their hashes differ.
const packedBits = "beafcb8104928f2ef98c3114ac24709caaf51d91452a4c4d3d627d7cb75a170b"

// codecBits has the same for payloads and states of one codec each.
var codecBits = map[string]string{
	"e3m0":               "2f8ed8c97dcda8711b05b8fb013b3496ec84d9367b579cfdd47b0bb74b97bf4b",
	"int4":               "9a23bfb2fe8bb15b34c6ffec5b3d12a6703181c7c69439716028867a7cda0b49",
	"2bit":               "2957b9ecc89e835954ea9dbf16f2bb76c70d785fa5fe1884a0851a7cd3516010",
	"topk:64/4096+2bit":  "f46c99a84962934827eeed62503ab1b287718e103adfdf2ff609e479d2a9f97e",
	"mask:3/20+bf16":     "bf4e1469970809c86353537ec22252886df0d4194aee1a7c6ab6d8b539feec50",
	"dct:32/64+f32":      "e4fe1d7c8f10d7041017575b7e58acd710f355fcddf7e4d6d38694818d93bf45",
	"lowrank:4+f32":      "ee871e17bd22d156f2a952277683e4d0740a85757d2b9f413b5319bcb0619d5b",
	"topk:64/64x64+int8": "7bad72f0e7e45af9171c56dc7ea284cb085d5d47f1c5709a86e679f68243141d",

	"1bit": "53297696a288c7c1fad5e88911f71e78f466b54dafbaa041258b5cfb57d0637e",
}

func TestSameBitsOnEveryMachine(t *testing.T) {
	state, packed := sha256.New(), sha256.New()
	for _, name := range []string{"f32", "bf16", "int8"} {
		for _, kind := range []string{"gaussian", "sparse", "wide"} {
			run(t, name, kind, state, state)
			run(t, name+"+zstd", kind, state, packed)
		}
	}
	for codec, want := range codecBits {
		h := sha256.New()
		for _, kind := range []string{"gaussian", "sparse", "wide"} {
			run(t, codec, kind, h, h)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != want {
			t.Errorf("%s: got %s, want %s", codec, got, want)
		}
	}
	for _, k := range []struct {
		what, want string
		h          hash.Hash
	}{{"state", stateBits, state}, {"packed payloads", packedBits, packed}} {
		if got := hex.EncodeToString(k.h.Sum(nil)); got != k.want {
			t.Errorf("%s: got %s, want %s", k.what, got, k.want)
		}
	}
}

// run plays five outer rounds of three peers and hashes every payload and every state on the way.
func run(t *testing.T, codec, kind string, state, payloads hash.Hash) {
	const n, peers = 9000, 3
	l := gradients.Layout{{Name: "a", Shape: []int{50, 100}}, {Name: "b", Shape: []int{31, 129}, Off: 5000}, {Name: "c", Shape: []int{1}, Off: 8999}}
	c, err := gradients.New(codec, l, l.Fragments()[0])
	must(t, err)
	tr := gradients.Chain(gradients.ClipNorm(1e3),
		gradients.AdamW(gradients.AdamWOptions{Beta1: .9, Beta2: .95, Eps: 1e-8, WeightDecay: .1, Decay: [][2]int{{0, 5000}}}),
		gradients.Momentum(.3), gradients.Nesterov(.9), gradients.Scale(.7))
	st := make([]gradients.Vec, tr.Slots())
	for i := range st {
		st[i] = make(gradients.Vec, n)
	}
	anchor, local, v := codectest.Values("gaussian", 7, n), make(gradients.Vec, n), make(gradients.Vec, n)
	residual, private := make([]gradients.Vec, peers), make([][]gradients.Vec, peers)
	for i := range residual {
		residual[i], private[i] = make(gradients.Vec, n), slots(c, n)
	}
	for round := range uint64(5) {
		sum := c.NewSum()
		for p := range residual {
			a := codectest.Values(kind, round*peers+uint64(p), n)
			gradients.Compensate(a, residual[p], .95)
			clamp(a, gradients.MaxMagnitude)
			src := c.Append(nil, gradients.Key{Departure: round}, a, private[p])
			payloads.Write(src)
			if err := sum.Add(1/float32(p+3), src); err != nil {
				t.Fatal(err)
			}
			if err := gradients.Decoded(c, v, src); err != nil {
				t.Fatal(err)
			}
			gradients.Settle(residual[p], a, v)
			clamp(residual[p], gradients.MaxMagnitude/4)
			gradients.HashInto(state, residual[p])
		}
		sum.Mean(v)
		if !gradients.Finite(v) {
			t.Fatal("the mean is not finite")
		}
		tr.Apply(gradients.Step{Inner: round + 1, Outer: round + 1, LR: .01}, v, anchor, st)
		gradients.Sub(anchor, anchor, v)
		gradients.Blend(local, local, anchor, .25)
		for _, x := range append(st, v, anchor, local) {
			gradients.HashInto(state, x)
		}
	}
}

// clamp keeps wide values inside what a payload may carry.
func clamp(v gradients.Vec, most float32) {
	for i, x := range v {
		v[i] = min(max(x, -most), most)
	}
}
