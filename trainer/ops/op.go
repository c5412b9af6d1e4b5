// Package ops holds the nodes of the training graph: coarse operations (a whole norm, projection or attention each) that
// tell Gorgonia their types, shapes and derivatives and hand the arithmetic to an engine.
//
// Conventions:
//   - N is the number of tokens of a micro-batch, rows of all activations; matrices are row-major, weights [out, in].
//   - Every op has one output. An op with several gradients computes all of them and its output is the one that flows on;
//     "extract" ops stand for the others in the graph and run nothing.
//   - Gradients of parameters are written straight to the memory that came with the parameter (see Param).
//   - No value feeds two differentiable inputs, so that Gorgonia never sums gradients with its own host arithmetic: the
//     residual stream forks inside the norm (see Skip), and a tied parameter is two Params over one memory.
//   - What the way back reads of the way forward it asks for by kept, so that a block may be computed a second time.
package ops

import (
	"fmt"
	"hash"
	"hash/fnv"

	"github.com/chewxy/hm"
	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// op is one operation and its output's value. It implements gorgonia.Op and gorgonia.SDOp.
type op struct {
	name string
	out  *Value
	side []*Value // further results, kept for the gradient op
	also []*Value // values that it reads beside its inputs: another op's side results
	over int      // the input whose memory the output may take over if nobody needs it later; none: −1
	diff []bool   // which inputs have a gradient

	flops int64  // see Event
	moves int64  // bytes, see Event, of an op that does not touch all of its operands; 0: it does
	grad  *Value // the parameter's gradient that it writes besides, if any

	run     func(o *op) // nil: there is nothing to do
	symdiff func(o *op, grad *gorgonia.Node) gorgonia.Nodes

	b     *Builder
	id    int            // unique in its graph
	node  *gorgonia.Node // that holds it
	ins   gorgonia.Nodes
	block *block // that it is part of, nil: none
	twin  *op    // the same once more, see kept
	again bool   // it is a twin
	seq   int    // its turn in the program, set with the memory plan
	args  []engine.Buf
}

// none is the value of op.over where nothing may be taken over.
const none = -1

var _ gorgonia.SDOp = (*op)(nil)

// in and sides are the memory of input i and of side result i.
func (o *op) in(i int) engine.Buf    { return o.args[i] }
func (o *op) sides(i int) engine.Buf { return o.side[i].buf }

// Arity implements gorgonia.Op.
func (o *op) Arity() int { return len(o.ins) }

// Type implements gorgonia.Op: in → … → out.
func (o *op) Type() hm.Type {
	var ts []hm.Type
	for _, n := range o.ins {
		ts = append(ts, ValueOf(n).Type())
	}
	return hm.NewFnType(append(ts, o.out.Type())...)
}

// InferShape implements gorgonia.Op.
func (o *op) InferShape(...gorgonia.DimSizer) (tensor.Shape, error) { return o.out.shape, nil }

// Do runs the kernels on the engine. It allocates nothing.
func (o *op) Do(vs ...gorgonia.Value) (gorgonia.Value, error) {
	if err := o.b.pass.arrive(o); err != nil {
		return nil, err
	}
	for i, v := range vs {
		x, ok := v.(*Value)
		if !ok {
			return nil, fmt.Errorf("ops: input %d of %v is a %T, no engine memory", i, o, v)
		}
		o.args[i] = x.buf
	}
	switch watch := o.b.pass.Watch; {
	case o.run == nil:
	case watch != nil:
		o.watched(watch)
	default:
		o.run(o)
	}
	return o.out, nil
}

// ReturnsPtr implements gorgonia.Op: the output is memory, not a copy.
func (o *op) ReturnsPtr() bool { return true }

// CallsExtern implements gorgonia.Op. True would make Gorgonia allocate an output on the host.
func (o *op) CallsExtern() bool { return false }

// OverwritesInput implements gorgonia.Op. Memory is ours to reuse, not Gorgonia's.
func (o *op) OverwritesInput() int { return -1 }

// WriteHash implements gorgonia.Op. The salt comes first: behind two equal states of the hash it would change nothing.
func (o *op) WriteHash(h hash.Hash) { fmt.Fprintf(h, "%d/%s#%d", o.b.salt, o.name, o.id) }

// Hashcode implements gorgonia.Op.
func (o *op) Hashcode() uint32 {
	h := fnv.New32a()
	o.WriteHash(h)
	return h.Sum32()
}

func (o *op) String() string { return fmt.Sprintf("%s#%d", o.name, o.id) }

// DiffWRT implements gorgonia.SDOp.
func (o *op) DiffWRT(int) []bool { return o.diff }

// SymDiff implements gorgonia.SDOp.
func (o *op) SymDiff(_ gorgonia.Nodes, _, grad *gorgonia.Node) (gorgonia.Nodes, error) {
	if o.symdiff == nil {
		return nil, fmt.Errorf("ops: %v has no gradient", o)
	}
	o.block.reach(grad)
	return o.symdiff(o, grad), nil
}
