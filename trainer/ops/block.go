package ops

import (
	"slices"

	"gorgonia.org/gorgonia"
)

// block is a part of the graph whose inner values are not kept for the way back but computed again when the way back
// reaches it (activation recomputation, Chen et al. 2016, arXiv 1604.06174). Only what flows into it is kept.
type block struct {
	grad *gorgonia.Node // the gradient that reached its output
}

// Block makes what f adds to the graph one block.
func (b *Builder) Block(f func()) {
	b.block = &block{}
	f()
	b.block = nil
}

// reach notes the first gradient that arrives in the block: that of its output.
func (k *block) reach(grad *gorgonia.Node) {
	if k != nil && k.grad == nil {
		k.grad = grad
	}
}

// kept is what the way back reads instead of o: o itself, or its twin if o is part of a block.
func (o *op) kept() *op {
	if o.block == nil {
		return o
	}
	if o.twin != nil {
		return o.twin
	}
	twin := &op{name: o.name, out: o.out.like(), over: o.over, also: o.also, flops: o.flops, moves: o.moves, run: o.run, again: true}
	for _, v := range o.side {
		twin.side = append(twin.side, v.like())
	}
	var ins gorgonia.Nodes
	inside := func(n *gorgonia.Node) bool { p, ok := n.Op().(*op); return ok && p.block == o.block }
	for i := range o.ins {
		ins = append(ins, o.keptInput(i))
	}
	if !slices.ContainsFunc(o.ins, inside) {
		ins = append(ins, o.block.grad) // nothing of it is used: it makes the twin wait for its time
	}
	o.b.apply(twin, ins...)
	o.twin = twin
	return twin
}

// keptInput is what the way back reads instead of input i.
func (o *op) keptInput(i int) *gorgonia.Node {
	if p, ok := o.ins[i].Op().(*op); ok && p.block != nil && p.block == o.block {
		return p.kept().node
	}
	return o.ins[i]
}
