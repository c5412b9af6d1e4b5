package gradients

import "math"

// blockLen is the number of elements that share a scale. A block never spans two groups, so that a small norm gain next
// to a large matrix keeps its own scale.
const blockLen = 4096

// blocksOf cuts groups into blocks and returns their ends: block b covers [ends[b−1], ends[b]).
func blocksOf(groups []int) []int {
	var ends []int
	lo := 0
	for _, n := range groups {
		for hi := lo + n; lo < hi; {
			lo = min(lo+blockLen, hi)
			ends = append(ends, lo)
		}
	}
	return ends
}

func total(groups []int) int {
	n := 0
	for _, g := range groups {
		n += g
	}
	return n
}

// absMax is the largest magnitude: without the sign, the bits of floats are ordered as the floats are.
func absMax(v Vec) float32 {
	var m [4]uint32
	for ; len(v) >= 4; v = v[4:] {
		m[0] = max(m[0], math.Float32bits(v[0])&absMask)
		m[1] = max(m[1], math.Float32bits(v[1])&absMask)
		m[2] = max(m[2], math.Float32bits(v[2])&absMask)
		m[3] = max(m[3], math.Float32bits(v[3])&absMask)
	}
	for _, x := range v {
		m[0] = max(m[0], math.Float32bits(x)&absMask)
	}
	return math.Float32frombits(max(m[0], m[1], m[2], m[3]))
}
