package aggregator

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"

	"github.com/skein-train/skein/gradients"
)

// NoLoCo has no all-reduce: in every round each worker meets one other, drawn by the beacon, and goes along the mean of
// both pseudo-gradients and towards the mean of both anchors (arXiv 2506.10911, algorithm 1; n = 2):
//
//	m ← α·m + β·Δ̄ + γ·(φ − φ̄);   φ ← φ − m
//
// in descent directions. The codec is for twice the model: anchors travel too.
func NoLoCo(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), alpha, beta, gamma float32) Method {
	return Method{
		Name: "noloco", Codec: codec, Private: true, Peers: Pairs, Pull: gamma / beta,
		Outer: func(gradients.Layout, gradients.Fragment) gradients.Transform {
			return gradients.Chain(gradients.Scale(beta), gradients.Momentum(alpha))
		},
	}
}

// Pairs draws a partner for every worker: the roster is shuffled by the beacon and cut into twos. With an odd number one stays
// alone.
func Pairs(beacon [32]byte, roster []Slot, self Slot) []Slot {
	order := slices.Clone(roster)
	slices.SortFunc(order, func(a, b Slot) int {
		x, y := lot(beacon, a), lot(beacon, b)
		return slices.Compare(x[:], y[:])
	})
	at := slices.Index(order, self)
	lo := at &^ 1
	return order[lo:min(lo+2, len(order))]
}

// lot is the number that a slot draws.
func lot(beacon [32]byte, s Slot) Hash {
	b := append([]byte("skein/pairs/1\x00"), beacon[:]...)
	return sha256.Sum256(binary.LittleEndian.AppendUint64(b, uint64(s)))
}
