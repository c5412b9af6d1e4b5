package shards

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
)

// assignDomain keeps this use of SHA-256 apart from every other; the digit is the version of the rule.
const assignDomain = "skein/assign/1\x00"

// Assign deals the stream positions of one round. The range [cursor, cursor + len(roster)·per) is cut into equal parts
// of per sequences, and the parts go to the roster in an order shuffled by the beacon. The i-th result is the position
// of the first sequence reserved for roster[i].
//
// roster lists slot numbers in ascending order, each once. A place depends on nothing but the arguments, so that every
// worker computes it alone and nobody can choose the text that it trains on. Reservations that are not used (an absent
// worker, a slow one) are skipped for the epoch: the next round starts behind the range, whatever became of this one. It costs
// O(len(roster)) time and memory and never fails; cursors count sequences and stay far below 2⁶⁴.
func Assign(beacon [32]byte, cursor uint64, roster []uint32, per uint64) []uint64 {
	starts := make([]uint64, len(roster))
	for i := range starts {
		starts[i] = cursor + uint64(i)*per
	}
	draw := newDraw(beacon, cursor)
	for i := len(starts) - 1; i > 0; i-- { // Fisher-Yates, from the end
		j := draw.below(uint64(i) + 1)
		starts[i], starts[j] = starts[j], starts[i]
	}
	return starts
}

// draw is a stream of 64-bit numbers: SHA-256(domain ‖ beacon ‖ cursor ‖ block) cut into four little-endian words.
type draw struct {
	seed  [len(assignDomain) + 32 + 8 + 8]byte
	block uint64
	words [sha256.Size]byte
	used  int
}

func newDraw(beacon [32]byte, cursor uint64) *draw {
	d := &draw{used: sha256.Size}
	n := copy(d.seed[:], assignDomain)
	n += copy(d.seed[n:], beacon[:])
	binary.LittleEndian.PutUint64(d.seed[n:], cursor)
	return d
}

func (d *draw) next() uint64 {
	if d.used == len(d.words) {
		binary.LittleEndian.PutUint64(d.seed[len(d.seed)-8:], d.block)
		d.words, d.used = sha256.Sum256(d.seed[:]), 0
		d.block++
	}
	w := binary.LittleEndian.Uint64(d.words[d.used:])
	d.used += 8
	return w
}

// below draws from [0, n) without bias (Lemire, arXiv:1805.10941): of 2⁶⁴ words the few that would tip the balance
// are drawn again. n must be positive.
func (d *draw) below(n uint64) uint64 {
	for {
		hi, lo := bits.Mul64(d.next(), n)
		if lo >= n || lo >= -n%n {
			return hi
		}
	}
}
