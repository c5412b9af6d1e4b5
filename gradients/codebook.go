package gradients

import (
	"encoding/binary"
	"fmt"
	"math"
)

// codebook sends each group as a small table of values, fitted to the group, and an index of 1 or 2 bits for each element.
// The body is all tables (float32), then the indices of each group, the first element in the lowest bits of the first byte; a
// group begins with a new byte.
type codebook struct {
	name   string
	groups []int
	bits   int // of an index
	// fit chooses an index for each value, one per byte, and fills the table.
	fit func(codes []byte, table []float32, v Vec)
	at  []int // where the indices of each group begin, and where the last ones end
}

func newCodebook(name string, bits int, groups []int, fit func(codes []byte, table []float32, v Vec)) format {
	f := codebook{name: name, groups: groups, bits: bits, fit: fit, at: []int{4 * len(groups) << bits}}
	for g, n := range groups {
		f.at = append(f.at, f.at[g]+(n*bits+7)/8)
	}
	return f
}

func new2Bit(groups []int) format { return newCodebook("2bit", 2, groups, fit2Bit) }
func new1Bit(groups []int) format { return newCodebook("1bit", 1, groups, fit1Bit) }

func (f codebook) size() int { return f.at[len(f.groups)] }

// table is where group g has its values.
func (f codebook) table(body []byte, g int) []byte { return body[4*g<<f.bits : 4*(g+1)<<f.bits] }

func (f codebook) encode(body []byte, v Vec) {
	var table [4]float32
	wide := make([]byte, 0, 8) // indices, one per byte
	for g, n := range f.groups {
		wide = grow(wide[:0], (n+7)&^7)
		clear(wide[n:])
		if Finite(v[:n]) {
			f.fit(wide[:n], table[:1<<f.bits], v[:n])
		} else {
			clear(wide)
			table[0] = float32(math.NaN()) // a mean could hide what check must see
		}
		put(f.table(body, g), table[:1<<f.bits])
		narrow(body[f.at[g]:f.at[g+1]], wide, f.bits)
		v = v[n:]
	}
}

// narrow packs indices of 1 or 2 bits. wide is a whole number of times eight long, dst as long as is needed.
func narrow(dst, wide []byte, bits int) {
	per := 8 / bits
	for i := range dst {
		eight := binary.LittleEndian.Uint64(wide[per*i&^7:])
		if bits == 1 {
			dst[i] = byte(eight * 0x0102040810204080 >> 56) // the lowest bit of byte j goes to bit j
			continue
		}
		four := uint32(eight >> (8 * (per * i & 4)))
		dst[i] = byte(four | four>>6 | four>>12 | four>>18)
	}
}

func (f codebook) check(body []byte) error {
	var bad uint32
	for i := 0; i < f.at[0]; i += 4 {
		bad |= beyond(binary.LittleEndian.Uint32(body[i : i+4]))
	}
	if bad>>31 != 0 {
		return fmt.Errorf("%w: %s: a value of a table is NaN, infinite or above 2^64", ErrCorrupt, f.name)
	}
	for g, n := range f.groups {
		if used := n * f.bits & 7; used != 0 && body[f.at[g+1]-1]>>used != 0 {
			return fmt.Errorf("%w: %s: tensor %d has an index too many", ErrCorrupt, f.name, g)
		}
	}
	return nil
}

func (f codebook) add(acc Vec, weight float32, body []byte) {
	per, mask := 8/f.bits, byte(1<<f.bits-1)
	var table [4]float32
	for g, n := range f.groups {
		for i := range table[:1<<f.bits] {
			x := math.Float32frombits(binary.LittleEndian.Uint32(f.table(body, g)[4*i:]))
			table[i] = float32(weight * x)
		}
		group := acc[:n]
		for _, c := range body[f.at[g]:f.at[g+1]] {
			some := group[:min(per, len(group))]
			for i := range some {
				some[i] += table[c&mask&3]
				c >>= f.bits
			}
			group = group[len(some):]
		}
		acc = acc[n:]
	}
}

// fit2Bit is the statistical quantiser of SparseLoCo (arXiv 2508.15706, and its public code): four bins over six standard
// deviations around the mean, each of which stands for the mean of what fell into it.
func fit2Bit(codes []byte, table []float32, v Vec) {
	const bins, deviations = 4, 6
	shift := float32(sum(v) / float64(len(v)))
	var squares float64
	for _, x := range v {
		squares += square(x - shift)
	}
	scale := float32(0)
	if len(v) > 1 {
		scale = deviations * float32(math.Sqrt(squares/float64(len(v)-1))) / bins
	}
	if !(scale > 0 && scale <= math.MaxFloat32) {
		scale = 1
	}
	var sums, counts [bins]float64
	for i, x := range v {
		c := x - shift
		code := roundBits(min(max(float32(c/scale)+bins/2, 0), bins-1)) & (bins - 1)
		codes[i] = byte(code)
		sums[code] += float64(c)
		counts[code]++
	}
	for b := range table {
		mean := sums[b] / max(counts[b], 1)
		table[b] = bounded(float32(mean) + shift)
	}
}

// fit1Bit sends the sign, and the means of what is below zero and of the rest: 1-bit SGD (F. Seide et al., Interspeech 2014) with
// one pair of means for a tensor instead of one for each column.
func fit1Bit(codes []byte, table []float32, v Vec) {
	var sums, counts [2]float64
	for i, x := range v {
		code := byte(0)
		if x < 0 {
			code = 1
		}
		codes[i] = code
		sums[code] += float64(x)
		counts[code]++
	}
	for b := range table {
		table[b] = bounded(float32(sums[b] / max(counts[b], 1)))
	}
}

// bounded brings a value that rounding has pushed over the limit back to it.
func bounded(x float32) float32 { return min(max(x, -MaxMagnitude), MaxMagnitude) }

// sum adds in float64 over four interleaved lanes in a fixed order.
func sum(v Vec) float64 {
	var s [4]float64
	for ; len(v) >= 4; v = v[4:] {
		s[0] += float64(v[0])
		s[1] += float64(v[1])
		s[2] += float64(v[2])
		s[3] += float64(v[3])
	}
	for i, x := range v {
		s[i] += float64(x)
	}
	return (s[0] + s[1]) + (s[2] + s[3])
}
