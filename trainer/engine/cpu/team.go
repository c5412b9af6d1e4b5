package cpu

import (
	"sync"
	"sync/atomic"

	"github.com/skein-train/skein/trainer/engine/cpu/blas"
)

// team is a number of workers that share the tasks of one call.
type team []worker

// worker is one of them, with memory for one task.
type worker struct {
	scratch
	halves [2048]uint16
	half   blas.Half // the products of bfloat16, if the engine has them
}

// each runs f once for every task in [0, tasks), in no order, and returns when all are done.
func (t team) each(tasks int, f func(w *worker, task int)) {
	t.level()
	workers := min(len(t), tasks)
	if workers <= 1 {
		for i := range tasks {
			f(&t[0], i)
		}
		return
	}
	var next atomic.Int64
	work := func(w *worker) {
		for i := next.Add(1) - 1; i < int64(tasks); i = next.Add(1) - 1 {
			f(w, int(i))
		}
	}
	var others sync.WaitGroup
	for i := 1; i < workers; i++ {
		others.Go(func() { work(&t[i]) })
	}
	work(&t[0])
	others.Wait()
}

// level gives every worker as much memory as any of them ever took: who gets the largest task is a matter of chance.
func (t team) level() {
	most := 0
	for i := range t {
		most = max(most, len(t[i].block))
	}
	for i := range t {
		t[i].grow(most)
	}
}

// taskSize is how many elements one task of a row-wise kernel reads: some microseconds of work, and it stays in the
// second-level cache.
const taskSize = 1 << 15

// spans cuts n rows of width elements into tasks and runs f on each range of rows [lo, hi).
func (t team) spans(n, width int, f func(w *worker, lo, hi int)) {
	if n == 0 {
		return
	}
	rows := max(1, taskSize/max(1, width))
	t.each((n+rows-1)/rows, func(w *worker, task int) { f(w, task*rows, min(n, (task+1)*rows)) })
}
