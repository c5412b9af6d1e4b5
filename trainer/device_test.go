package trainer

import (
	"context"
	"slices"
	"testing"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/reference"
)

// device is the reference engine behind addresses that are no host addresses: following one outside a kernel faults.
type device struct {
	host   *reference.Engine
	allocs int
}

var _ engine.Engine = (*device)(nil)

const farAway = 1 << 62

func in(b engine.Buf) engine.Buf {
	if b.Len > 0 {
		b.Addr -= farAway
	}
	return b
}
func out(b engine.Buf) engine.Buf {
	b.Addr += farAway
	return b
}
func inside(w *engine.Weight) *engine.Weight {
	return &engine.Weight{Master: in(w.Master), Out: w.Out, In: w.In}
}

func (d *device) Name() string         { return "test device" }
func (d *device) Class() uint16        { return 0 }
func (d *device) Compute() engine.Type { return d.host.Compute() }
func (d *device) Close() error         { return d.host.Close() }
func (d *device) Alloc(n int) engine.Buf {
	d.allocs++
	return out(d.host.Alloc(n))
}
func (d *device) Upload(dst engine.Buf, src []float32)    { d.host.Upload(in(dst), src) }
func (d *device) UploadInt32(dst engine.Buf, src []int32) { d.host.UploadInt32(in(dst), src) }
func (d *device) Download(dst []float32, src engine.Buf)  { d.host.Download(dst, in(src)) }
func (d *device) Set(dst engine.Buf, src []float64)       { d.host.Set(in(dst), src) }
func (d *device) Get(dst []float64, src engine.Buf)       { d.host.Get(dst, in(src)) }
func (d *device) Host(engine.Buf) []float32               { return nil }
func (d *device) Zero(b engine.Buf)                       { d.host.Zero(in(b)) }
func (d *device) Copy(dst, src engine.Buf)                { d.host.Copy(in(dst), in(src)) }
func (d *device) Add(z, x, y engine.Buf)                  { d.host.Add(in(z), in(x), in(y)) }
func (d *device) Mix(z engine.Buf, a engine.Scalar, x engine.Buf, b engine.Scalar, y engine.Buf) {
	a.At, b.At = in(a.At), in(b.At)
	d.host.Mix(in(z), a, in(x), b, in(y))
}
func (d *device) Refresh(w *engine.Weight, uses int) { d.host.Refresh(inside(w), uses) }
func (d *device) Linear(y, x engine.Buf, w *engine.Weight, n int) {
	d.host.Linear(in(y), in(x), inside(w), n)
}
func (d *device) LinearBack(dx, dy engine.Buf, w *engine.Weight, n int) {
	d.host.LinearBack(in(dx), in(dy), inside(w), n)
}
func (d *device) LinearGrad(dw, dy, x engine.Buf, n, o, k int, accumulate bool) {
	d.host.LinearGrad(in(dw), in(dy), in(x), n, o, k, accumulate)
}
func (d *device) MatMul(c, a, b engine.Buf, transA, transB bool, m, n, k int, accumulate bool) {
	d.host.MatMul(in(c), in(a), in(b), transA, transB, m, n, k, accumulate)
}
func (d *device) Embed(y, table, ids engine.Buf, n, w int) {
	d.host.Embed(in(y), in(table), in(ids), n, w)
}
func (d *device) EmbedGrad(dtable, dy, ids engine.Buf, n, w int) {
	d.host.EmbedGrad(in(dtable), in(dy), in(ids), n, w)
}
func (d *device) RMSNorm(y, rstd, x, w engine.Buf, n, width int, eps float32) {
	d.host.RMSNorm(in(y), in(rstd), in(x), in(w), n, width, eps)
}
func (d *device) RMSNormGrad(dx, dw, dy, x, w, rstd, skip engine.Buf, n, width int) {
	d.host.RMSNormGrad(in(dx), in(dw), in(dy), in(x), in(w), in(rstd), in(skip), n, width)
}
func (d *device) HeadNorm(y, rstd, qkv, w engine.Buf, a engine.Attention, eps float32) {
	d.host.HeadNorm(in(y), in(rstd), in(qkv), in(w), a, eps)
}
func (d *device) HeadNormGrad(dqkv, dw, dy, qkv, w, rstd engine.Buf, a engine.Attention) {
	d.host.HeadNormGrad(in(dqkv), in(dw), in(dy), in(qkv), in(w), in(rstd), a)
}
func (d *device) Attend(y, lse, qkv engine.Buf, a engine.Attention) {
	d.host.Attend(in(y), in(lse), in(qkv), a)
}
func (d *device) AttendGrad(dqkv, dy, y, lse, qkv engine.Buf, a engine.Attention) {
	d.host.AttendGrad(in(dqkv), in(dy), in(y), in(lse), in(qkv), a)
}
func (d *device) SwiGLU(y, gu engine.Buf, n, f int) { d.host.SwiGLU(in(y), in(gu), n, f) }
func (d *device) SwiGLUGrad(dgu, dy, gu engine.Buf, n, f int) {
	d.host.SwiGLUGrad(in(dgu), in(dy), in(gu), n, f)
}
func (d *device) Head(loss, dx, dw, x engine.Buf, w *engine.Weight, targets engine.Buf, n int, l engine.Loss) {
	d.host.Head(in(loss), in(dx), in(dw), in(x), inside(w), in(targets), n, l)
}
func (d *device) Normalise(x engine.Buf, floor float64) { d.host.Normalise(in(x), floor) }
func (d *device) Clip(step, x, guard engine.Buf, limit float64) {
	d.host.Clip(in(step), in(x), in(guard), limit)
}
func (d *device) AdamW(p, g, m, v engine.Buf, decay [][2]int, s engine.AdamW) {
	s.Step = in(s.Step)
	d.host.AdamW(in(p), in(g), in(m), in(v), decay, s)
}

func TestGraphRunsOnMemoryThatTheHostCannotTouch(t *testing.T) {
	o := tied()
	o.Fragments, o.Inner.Optimizer = 3, "muon"
	a := newReplica(t, o)
	o.Engine = &device{host: reference.New()}
	b := newReplica(t, o)
	if steps(t, a, 3) != steps(t, b, 3) || !slices.Equal(paramsOf(a), paramsOf(b)) {
		t.Fatal("host and device differ after 3 steps")
	}
	anchor := make([]float32, a.Len())
	x, y := make([]float32, a.Len()), make([]float32, a.Len())
	a.Delta(x, anchor, whole(a))
	b.Delta(y, anchor, whole(b))
	if !slices.Equal(x, y) {
		t.Error("deltas differ")
	}
	la, _ := a.Evaluate(context.Background(), anchor, 0, a.data.Validations())
	lb, err := b.Evaluate(context.Background(), anchor, 0, a.data.Validations())
	if la != lb || err != nil {
		t.Errorf("losses %g and %g, %v", la, lb, err)
	}
	va, _ := a.Save()
	vb, _ := b.Save()
	for i := range va {
		if !slices.Equal(va[i], vb[i]) {
			t.Errorf("state vector %d differs", i)
		}
	}
}

func TestSteadyStepAllocatesNoMemoryOfTheEngine(t *testing.T) {
	for _, o := range []Options{tiny(), withMuon()} {
		d := &device{host: reference.New()}
		o.Engine = d
		r := newReplica(t, o)
		steps(t, r, 1)
		before := d.allocs
		steps(t, r, 3)
		if d.allocs != before {
			t.Errorf("%s: 3 steps took %d blocks of engine memory", o.Inner.Optimizer, d.allocs-before)
		}
	}
}
