package cuda

import (
	"strings"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cuda/cudatest"
)

// What a launch says wrong is found before it reaches the device.
func TestWrongLaunches(t *testing.T) {
	for name, c := range map[string]struct {
		kernel string
		shared int
		args   []arg
		says   string
	}{
		"no such kernel":            {kernel: "nonesuch", says: "no kernel nonesuch"},
		"an argument too few":       {kernel: "convert", args: []arg{i64(0), i64(0), i64(0)}, says: "takes 4 arguments and was given 3"},
		"another type":              {kernel: "convert", args: []arg{i64(0), i64(0), i32(0), i32(0)}, says: "argument 2 is of type u64, given u32"},
		"more memory than is there": {kernel: "convert", shared: 1 << 20, args: []arg{i64(0), i64(0), i64(0), i32(0)}, says: "shared memory"},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := Open(engine.Options{Kind: "cuda", Precision: "bf16", Driver: cudatest.Driver(t), Library: builtin})
			if err != nil {
				t.Fatal(err)
			}
			e.launch(c.kernel, blocks(1), 32, c.shared, c.args...)
			if err := e.Err(); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q in it", err, c.says)
			}
			if e.Close() == nil || e.Stats().Launches != 0 {
				t.Errorf("%d launches", e.Stats().Launches)
			}
		})
	}
}

func TestQuadsNeedWidthAndAlignment(t *testing.T) {
	at := func(addr uintptr, k engine.Type) engine.Buf { return engine.Buf{Addr: addr, Len: 8, Type: k} }
	for _, c := range []struct {
		n        int
		operands []engine.Buf
		others   []engine.Buf
		width    int
		bits     uint64
	}{
		{8, operands(at(256, engine.F32), at(264, engine.BF16)), nil, 4, 1<<30 | 2},
		{8, operands(at(264, engine.F32)), nil, 1, 0},
		{8, operands(at(260, engine.BF16)), nil, 1, 1},
		{6, operands(at(256, engine.F32)), nil, 1, 0},
		{8, operands(at(256, engine.F32)), operands(at(8, engine.F32)), 1, 0},
	} {
		if s := shapeOf(c.n, c.operands, c.others...); s.width != c.width || s.bits != c.bits {
			t.Errorf("rows of %d, %v and %v: width %d and %#x, want %d and %#x", c.n, c.operands, c.others, s.width, s.bits, c.width, c.bits)
		}
	}
}

func TestArenaSharesSmallBlocks(t *testing.T) {
	e := opened(t)
	a, b := e.Alloc(3), e.Alloc(100)
	if b.Addr-a.Addr != line || len(e.arena.blocks) != 1 {
		t.Errorf("buffers lie %d bytes apart, in %d blocks", b.Addr-a.Addr, len(e.arena.blocks))
	}
	e.Alloc(small) // 4 bytes each: a block of its own
	if c := e.Alloc(1); c.Addr-b.Addr != 2*line || len(e.arena.blocks) != 2 {
		t.Errorf("a large buffer ended the small block: %d blocks", len(e.arena.blocks))
	}
	if free, total, err := e.context.Memory(); err != nil || total-free < 5*small {
		t.Errorf("%d of %d bytes are free, %v", free, total, err)
	}
}
