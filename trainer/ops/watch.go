package ops

import (
	"time"

	"github.com/skein-train/skein/trainer/engine"
)

// Event is one op that has run. An engine that answers before it is done is waited for after each op, which takes time, too.
type Event struct {
	Op    string // kind of op: "linear", "linear.grad"
	Again bool   // it was computed once more for the way back, see Block
	FLOPs int64  // arithmetic that the op is for; what an engine does beyond that, such as computing scores again, does not count
	Bytes int64  // least that has to be moved: every operand once
	Took  time.Duration
}

// watched runs o and tells the watcher.
func (o *op) watched(watch func(Event)) {
	start := time.Now()
	o.run(o)
	engine.Wait(o.b.engine)
	watch(Event{Op: o.name, Again: o.again, FLOPs: o.flops, Bytes: o.traffic(), Took: time.Since(start)})
}

// traffic is the size of all operands, in bytes.
func (o *op) traffic() (bytes int64) {
	if o.moves > 0 {
		return o.moves
	}
	add := func(v *Value) { bytes += int64(v.MemSize()) }
	for _, n := range o.ins {
		add(ValueOf(n))
	}
	for _, v := range o.also {
		add(v)
	}
	for _, v := range o.side {
		add(v)
	}
	if o.grad != nil {
		add(o.grad)
	}
	add(o.out)
	return bytes
}

// mul is the product of sizes, for counts that outgrow 32 bits.
func mul(sizes ...int) int64 {
	n := int64(1)
	for _, s := range sizes {
		n *= int64(s)
	}
	return n
}
