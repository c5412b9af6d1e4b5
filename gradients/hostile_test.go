package gradients_test

import (
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"slices"
	"testing"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/gradients/codectest"
)

// header is the frame of a payload, by hand.
func header(codec, flags byte, n int) []byte {
	return binary.LittleEndian.AppendUint64([]byte{'S', 'K', 'P', 'G', 1, codec, flags, 0}, uint64(n))
}

// zstdFrame is a zstd header that declares a size, by hand; blocks follow.
func zstdFrame(size uint64) []byte {
	return binary.LittleEndian.AppendUint64([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xe0}, size)
}

// rle is a zstd block of n bytes b.
func rle(n int, b byte, last bool) []byte {
	h := uint32(n)<<3 | 1<<1
	if last {
		h |= 1
	}
	return []byte{byte(h), byte(h >> 8), byte(h >> 16), b}
}

func TestPackedByHand(t *testing.T) {
	const n = 1000
	c, _ := codecFor(t, "f32+zstd", n)
	src := slices.Concat(header(1, 1, n), zstdFrame(4*n), rle(2*n, 0, false), rle(n, 0, false), rle(n, 0x3f, true))
	got := make(gradients.Vec, n)
	if err := gradients.Decoded(c, got, src); err != nil {
		t.Fatal(err)
	}
	want := math.Float32frombits(0x3f000000) // the last plane holds the highest bytes
	if slices.ContainsFunc(got, func(x float32) bool { return x != want }) {
		t.Errorf("got %v…, want %g throughout", got[:4], want)
	}
}

func TestPackedPayloadsThatLie(t *testing.T) {
	const n = 1000
	c, _ := codecFor(t, "f32+zstd", n)
	whole := rle(4*n, 0, true)
	bomb := []byte{}
	for range 900 {
		bomb = append(bomb, rle(128<<10, 0, false)...)
	}
	for name, body := range map[string][]byte{
		"no zstd":          []byte("certainly not"),
		"nothing":          {},
		"declares 2^63":    slices.Concat(zstdFrame(1<<63), whole),
		"declares a byte":  slices.Concat(zstdFrame(4*n+1), rle(4*n+1, 0, true)),
		"declares too few": slices.Concat(zstdFrame(4*n-4), rle(4*n-4, 0, true)),
		"delivers less":    slices.Concat(zstdFrame(4*n), rle(4*n-1, 0, true)),
		"delivers more":    slices.Concat(zstdFrame(4*n), rle(4*n+1, 0, true)),
		"bomb":             slices.Concat(zstdFrame(4*n), bomb, whole),
		"never ends":       slices.Concat(zstdFrame(4*n), rle(4*n, 0, false)),
		"no size":          slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0x38}, whole),
		"skippable":        slices.Concat([]byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}, zstdFrame(4*n), whole),
		"second frame":     slices.Concat(zstdFrame(4*n), whole, zstdFrame(4*n), whole),
		"infinite values":  slices.Concat(zstdFrame(4*n), rle(2*n, 0, false), rle(n, 0x80, false), rle(n, 0x7f, true)),
		"one byte more":    slices.Concat(zstdFrame(4*n), whole, []byte{0}),
		"three bytes more": slices.Concat(zstdFrame(4*n), whole, []byte{0, 0, 0}),
		"five bytes more":  slices.Concat(zstdFrame(4*n), whole, []byte{0, 0, 0, 0, 0}),
		"empty frame more": slices.Concat(zstdFrame(4*n), whole, zstdFrame(0), rle(0, 0, true)),
		"skippable more":   slices.Concat(zstdFrame(4*n), whole, []byte{0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0}),
	} {
		src := slices.Concat(header(1, 1, n), body)
		if err := c.NewSum().Add(1, src); !errors.Is(err, gradients.ErrCorrupt) {
			t.Errorf("%s: got error %v", name, err)
		}
		bounded(t, name, c, n, src)
	}
}

func TestHeadersThatLie(t *testing.T) {
	const n = 10
	c, _ := codecFor(t, "f32", n)
	body := make([]byte, 4*n)
	for name, h := range map[string][]byte{
		"packed for a plain codec": header(1, 1, n),
		"other codec":              header(2, 0, n),
		"unknown flag":             header(1, 2, n),
		"other count":              header(1, 0, n+1),
		"count wraps":              header(1, 0, -n),
		"other magic":              append([]byte("SKPX"), header(1, 0, n)[4:]...),
		"other version":            append([]byte("SKPG\x02"), header(1, 0, n)[5:]...),
		"reserved byte":            append([]byte("SKPG\x01\x01\x00\x01"), header(1, 0, n)[8:]...),
	} {
		src := append(slices.Clone(h), body...)
		if err := c.Check(src); !errors.Is(err, gradients.ErrCorrupt) {
			t.Errorf("%s: got error %v", name, err)
		}
		codectest.Hostile(t, c, n, src)
	}
	if err := c.Check(append(header(1, 0, n), body...)); err != nil {
		t.Errorf("a good header: %v", err)
	}
}

// bounded asserts what Hostile does, and that one Add allocates at most 4 × the largest payload beside the fixed
// tables of a zstd decoder.
func bounded(t testing.TB, name string, c gradients.Codec, n int, src []byte) {
	codectest.Hostile(t, c, n, src) // warms up what is allocated once
	var before, after runtime.MemStats
	sum := c.NewSum()
	runtime.ReadMemStats(&before)
	_ = sum.Add(1, src)
	runtime.ReadMemStats(&after)
	const fixed = 256 << 10
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(4*c.MaxSize()+fixed); got > most {
		t.Errorf("%s: %d bytes allocated, at most %d allowed", name, got, most)
	}
}
