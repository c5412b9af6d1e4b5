package cpu

import (
	"sync"
	"sync/atomic"
)

// team is a number of workers that share the tasks of one call.
type team int

func (t team) size() int { return int(t) }

// each runs f once for every task in [0, tasks), in no order, and returns when all are done. worker < team tells the
// caller whose scratch memory to use.
func (t team) each(tasks int, f func(worker, task int)) {
	workers := min(int(t), tasks)
	if workers <= 1 {
		for i := range tasks {
			f(0, i)
		}
		return
	}
	var next atomic.Int64
	work := func(worker int) {
		for i := next.Add(1) - 1; i < int64(tasks); i = next.Add(1) - 1 {
			f(worker, int(i))
		}
	}
	var others sync.WaitGroup
	for w := 1; w < workers; w++ {
		others.Go(func() { work(w) })
	}
	work(0)
	others.Wait()
}

// taskSize is how many elements one task of a row-wise kernel reads: some microseconds of work, and it stays in the
// second-level cache.
const taskSize = 1 << 15

// spans cuts n rows of width elements into tasks and runs f on each range of rows [lo, hi).
func (t team) spans(n, width int, f func(worker, lo, hi int)) {
	if n == 0 {
		return
	}
	rows := max(1, taskSize/max(1, width))
	t.each((n+rows-1)/rows, func(worker, task int) { f(worker, task*rows, min(n, (task+1)*rows)) })
}
