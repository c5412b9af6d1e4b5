//go:build linux || darwin

package blas

import (
	"fmt"
	"unsafe"
)

// OpenHalves opens oneDNN's products of bfloat16, one Half for each worker. They are tried on a small example first: an error
// says what is not there or does not work. Versions 2 and 3 have different interfaces; what is tested is version 2.6.
func OpenHalves(workers int) ([]Half, Library, error) {
	for _, probe := range systemProbes() {
		l := probe()
		if l.Name != "onednn" {
			continue
		}
		if !l.Found {
			return nil, l, fmt.Errorf("oneDNN is not here: %s%s", l.Note, hint(l))
		}
		lib, err := load(l.Path)
		if err != nil {
			return nil, l, err
		}
		var halves []Half
		for range workers {
			h, err := newDNN(lib, l.Version)
			if err != nil {
				return nil, l, fmt.Errorf("oneDNN %s: %w", l.Version, err)
			}
			halves = append(halves, h)
		}
		return halves, l, try(halves[0])
	}
	return nil, Library{}, fmt.Errorf("oneDNN is not known on this system")
}

// try multiplies 1 × 2 by 2 × 1, from packed and from plain memory.
func try(h Half) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("oneDNN's products of bf16: %v", x)
		}
	}()
	x := &struct {
		c       [2]float32
		wide    [2]float32
		a, half [2]uint16
	}{wide: [2]float32{1, 2}, a: [2]uint16{0x4040, 0x4080}, half: [2]uint16{0x3f80, 0x4000}} // (3, 4) · (1, 2) = 11
	run := func(p Product, b unsafe.Pointer) {
		scratch := make([]float32, h.Scratch(p)/4+32)
		h.Multiply(p, unsafe.Pointer(&x.a), b, unsafe.Pointer(&x.c), aligned(scratch))
	}
	packed := make([]float32, h.PackedLen(1, 2)/4+32)
	h.Pack(aligned(packed), Matrix{Data: &x.wide[0], Stride: 1}, 1, 2)
	p := Product{M: 1, N: 1, K: 2, StrideA: 2, StrideB: 1, StrideC: 1, WideC: true, Packed: true}
	run(p, aligned(packed))
	p.Packed, p.Accumulate = false, true
	run(p, unsafe.Pointer(&x.half))
	if x.c[0] != 22 {
		return fmt.Errorf("oneDNN's products of bf16 are wrong: 2·(3, 4)·(1, 2) gave %v", x.c[0])
	}
	return nil
}

// The numbers of oneDNN's C interface, the same in versions 2 and 3.
const (
	dnnBF16, dnnF32          = 2, 3  // dnnl_data_type_t
	dnnAnyLayout             = 1     // dnnl_format_tag_any
	dnnArgSrc, dnnArgWeights = 1, 33 // DNNL_ARG_…
	dnnArgDst, dnnArgScratch = 17, 80
	dnnWeights, dnnScratch   = 131, 136 // dnnl_query_…_md
	dnnUserScratch           = 1        // dnnl_scratchpad_mode_user
)
