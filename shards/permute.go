package shards

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// rounds of the Feistel network. Four make a pseudo-random permutation of a large range (Luby & Rackoff 1988); over a
// handful of windows four leave a bias that a chi-squared test sees, eight do not.
const rounds = 8

// permutation is a keyed shuffle of [0, n) that is computed, not stored: a Feistel network over the next power of four,
// walked until it lands inside (cycle walking). Integers only, so that every machine gets the same order.
type permutation struct {
	n    uint64
	half uint // bits of each half
	keys [rounds]uint64
}

// newPermutation keys a shuffle of n > 0 elements with a label, of at most 16 bytes, and words.
func newPermutation(n uint64, label string, words ...uint64) permutation {
	var in [16 + 3*8]byte
	copy(in[:16], label)
	for i, w := range words {
		binary.LittleEndian.PutUint64(in[16+8*i:], w)
	}
	sum := sha256.Sum256(in[:16+8*len(words)])
	p := permutation{n: n, half: max(1, uint(bits.Len64(n-1)+1)/2)}
	for i := range p.keys {
		p.keys[i] = mix(binary.LittleEndian.Uint64(sum[8*(i%4):]) + uint64(i))
	}
	return p
}

// at is where i < n goes. The expected number of walks is below four.
func (p permutation) at(i uint64) uint64 {
	for {
		if i = p.once(i); i < p.n {
			return i
		}
	}
}

func (p permutation) once(i uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	left, right := i>>p.half, i&mask
	for _, k := range p.keys {
		left, right = right, left^(mix(right^k)&mask)
	}
	return left<<p.half | right
}

// find is the inverse of at: the i < n that goes to v < n.
func (p permutation) find(v uint64) uint64 {
	for {
		if v = p.back(v); v < p.n {
			return v
		}
	}
}

// back is the inverse of once.
func (p permutation) back(v uint64) uint64 {
	mask := uint64(1)<<p.half - 1
	left, right := v>>p.half, v&mask
	for i := len(p.keys) - 1; i >= 0; i-- {
		left, right = right^(mix(left^p.keys[i])&mask), left
	}
	return left<<p.half | right
}

// mix is the finaliser of SplitMix64 (Steele, Lea & Flood 2014): a bijection that spreads every bit.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
