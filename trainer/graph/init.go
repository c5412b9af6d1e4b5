package graph

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"

	"github.com/skein-train/skein/gradients"
)

// InitStd is the standard deviation of every initial matrix, embedding and head included.
const InitStd = 0.02

// Init writes a model's first weights to dst (all parameters, in Layout order): N(0, InitStd²) for every matrix, 1 for
// every norm.
//
// They are a function of seed, tensor name and position in the tensor alone, and the same bits on every machine and
// under every fragmentation. Tensor name draws from ChaCha8 (Go's math/rand/v2, C2SP chacha8rand) keyed with SHA-256 of
// "skein/init/1", the seed as 8 bytes little-endian, and the name; element i takes the i-th 64-bit word, see normal.
func Init(dst gradients.Vec, l gradients.Layout, seed uint64) {
	for _, t := range l {
		v := dst[t.Off : t.Off+t.Len()]
		if len(t.Shape) < 2 {
			for i := range v {
				v[i] = 1
			}
			continue
		}
		key := binary.LittleEndian.AppendUint64([]byte("skein/init/1"), seed)
		src := rand.NewChaCha8(sha256.Sum256(append(key, t.Name...)))
		for i := range v {
			v[i] = float32(InitStd * normal(src.Uint64()))
		}
	}
}
