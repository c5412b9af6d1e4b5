// Package peak measures what a machine can do at most: arithmetic on operands in its first cache, and traffic with its memory.
// Nothing is taken from data sheets. What a step reaches is held against it (roofline: Williams, Waterman & Patterson 2009).
package peak

import (
	"context"
	"fmt"
	"time"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/cpu/kernels"
)

// Peak is what one number of threads does at most.
type Peak struct {
	Threads   int     `json:"threads"`
	FLOPS     float64 `json:"flops"`     // floating-point operations a second: the engine's products, or our own in fp32 if they are faster
	Bandwidth float64 `json:"bandwidth"` // bytes a second: a·x + b·y, or a copy, of vectors that no cache holds
}

// What Caches may say, in bytes: the least is a guess where the system says nothing, the most keeps the measurement small.
const least, most = 32 << 20, 512 << 20

// Caches is the size of the machine's largest cache in bytes, as Measure wants it.
func Caches() int { return min(most, max(least, largestCache())) }

// Measure finds the peak of e, an engine of that many threads. caches is the size of the machine's largest cache in bytes, four times
// of which is allocated. It takes about a second, and says the best of many readings: other load lowers a mean.
func Measure(ctx context.Context, e engine.Engine, threads, caches int) (Peak, error) {
	p := Peak{Threads: threads}
	sizes := []int{256, 512, 1024}
	apart, device := e.(engine.Apart)
	if device { // which is large, and has caches that the host does not know
		free, _ := apart.Memory()
		sizes, caches = append(sizes, 4096, 8192), min(most, int(free/16))
	}
	for _, d := range sizes {
		work := 2 * float64(d) * float64(d) * float64(d)
		rate, err := best(ctx, e, work, product(e, d))
		if err != nil {
			return p, err
		}
		p.FLOPS = max(p.FLOPS, rate)
		if 64*work > rate && device || 8*work > rate { // on a slow engine the next one would take more than a second
			break
		}
	}
	if !device {
		rate, err := tiles(ctx, threads)
		if err != nil {
			return p, err
		}
		p.FLOPS = max(p.FLOPS, rate)
	}
	n := caches / 3 // elements: three vectors, together four times as large as the cache
	x, y, z := e.Alloc(n), e.Alloc(n), e.Alloc(n)
	for bytes, run := range map[float64]func(){
		12 * float64(n): func() { e.Mix(z, engine.Number(0.5), x, engine.Number(2), y) },
		8 * float64(n):  func() { e.Copy(z, x) },
	} {
		rate, err := best(ctx, e, bytes, run)
		if err != nil {
			return p, err
		}
		p.Bandwidth = max(p.Bandwidth, rate)
	}
	return p, engine.Err(e)
}

// best is the highest rate of many calls, each long enough for the clock; e, if there is one, has done them by then.
func best(ctx context.Context, e engine.Engine, work float64, run func()) (rate float64, err error) {
	const atLeast, budget = 500 * time.Microsecond, 200 * time.Millisecond
	run() // warm
	times := 1
	for start := time.Now(); time.Since(start) < budget; {
		if err := ctx.Err(); err != nil {
			return 0, fmt.Errorf("measuring the machine's peak: %w", err)
		}
		at := time.Now()
		for range times {
			run()
		}
		engine.Wait(e)
		took := time.Since(at)
		if took < atLeast {
			times *= 2
			continue
		}
		rate = max(rate, work*float64(times)/took.Seconds())
	}
	return rate, nil
}

// product multiplies d × d matrices as a layer does.
func product(e engine.Engine, d int) func() {
	t := e.Compute()
	x, y := e.Alloc(t.Words(d*d)).At(0, d*d, t), e.Alloc(t.Words(d*d)).At(0, d*d, t)
	w := &engine.Weight{Master: e.Alloc(d * d), Out: d, In: d}
	e.Refresh(w, 1<<20)
	return func() { e.Linear(y, x, w, d) }
}

// tiles is the rate of the fastest of our own kernels on operands of a few kilobytes, on every thread at once: the sum of the threads' best
// readings, so that other load on one of them does not hide what all can do.
func tiles(ctx context.Context, threads int) (rate float64, err error) {
	rates := make([]float64, threads)
	g, ctx := errgroup.WithContext(ctx)
	for i := range rates {
		g.Go(func() (err error) {
			run, work := tile()
			rates[i], err = best(ctx, nil, work, run)
			return err
		})
	}
	err = g.Wait()
	for _, r := range rates {
		rate += r
	}
	return rate, err
}

// tile runs that kernel, and says how many operations that is.
func tile() (run func(), work float64) {
	const k = 128
	t := kernels.Best().Tiles
	rows := t.Heights[0].Rows
	a, b, c := aligned(rows*k), aligned(k*t.Cols), aligned(rows*t.Cols)
	run = func() {
		t.Product(rows, t.Cols, k, kernels.Operand{Data: a, Row: k, Col: 1}, b, t.Cols, c, t.Cols, false)
	}
	return run, 2 * float64(rows) * float64(t.Cols) * k
}

// aligned is the first of n elements at a multiple of 64 bytes.
func aligned(n int) *float32 {
	x := make([]float32, n+15)
	at := -(uintptr(unsafe.Pointer(unsafe.SliceData(x))) / 4) % 16
	return &x[at]
}
