package ops

import (
	"fmt"

	"github.com/skein-train/skein/trainer/engine"
	"gorgonia.org/gorgonia"
	"gorgonia.org/tensor"
)

// Builder adds ops to one graph. Shapes are the caller's business: they are checked where the model is validated, and a
// mismatch that slips through panics here, at building time.
type Builder struct {
	engine engine.Engine
	graph  *gorgonia.ExprGraph
	pass   *Pass
	salt   int
	ids    int
	block  *block // that is being added, nil: none
	all    []*engine.Weight
	merged error // Gorgonia took a new op for an old one
}

// NewBuilder starts a graph whose ops run on e under pass. Gorgonia tells nodes apart by a 32-bit hash; should two of them
// collide (Check says so), the same graph under another salt will not.
func NewBuilder(e engine.Engine, pass *Pass, salt int) *Builder {
	return &Builder{engine: e, graph: gorgonia.NewGraph(), pass: pass, salt: salt}
}

// Graph is the graph built so far.
func (b *Builder) Graph() *gorgonia.ExprGraph { return b.graph }

// Check reports two nodes that Gorgonia would take for one.
func (b *Builder) Check() error {
	if b.merged != nil {
		return b.merged
	}
	seen := map[uint32]*gorgonia.Node{}
	for _, n := range b.graph.AllNodes() {
		if other := seen[n.Hashcode()]; other != nil {
			return fmt.Errorf("ops: %v and %v have the same hash", other, n)
		}
		seen[n.Hashcode()] = n
	}
	return nil
}

// Input adds a fixed input of that type and shape over buf.
func (b *Builder) Input(name string, dt tensor.Dtype, buf engine.Buf, shape ...int) *gorgonia.Node {
	v := fixed(dt, buf, shape...)
	opts := []gorgonia.NodeConsOpt{gorgonia.WithName(fmt.Sprintf("%d/%s", b.salt, name)), gorgonia.WithShape(shape...), gorgonia.WithValue(v)}
	var n *gorgonia.Node
	if len(shape) == 0 {
		n = gorgonia.NewScalar(b.graph, dt, opts...)
	} else {
		n = gorgonia.NewTensor(b.graph, dt, len(shape), opts...)
	}
	if n.Value() != gorgonia.Value(v) {
		panic("ops: two inputs of a graph are called " + name)
	}
	return n
}

// Param is a parameter: an input with memory for its gradient.
type Param struct {
	Node *gorgonia.Node
	grad *Value         // nil in programs without gradients
	more bool           // a tied Param writes this gradient earlier in every pass: always add to it
	form *engine.Weight // as products read it; nil: none does
}

// Param adds a parameter over data, whose gradient goes to grad, both of the shape's size. A program without gradients
// passes the zero Buf for grad.
func (b *Builder) Param(name string, data, grad engine.Buf, shape ...int) *Param {
	p := &Param{Node: b.Input(name, tensor.Float32, data, shape...)}
	if grad.Len > 0 {
		p.grad = fixed(tensor.Float32, grad, shape...)
	}
	return p
}

// Tied adds a second user of p's memory under another name. In every backward pass the gradient of the new Param must be
// computed before p's: it follows Pass.Accumulate, and p's is always added to it.
func (b *Builder) Tied(p *Param, name string) *Param {
	v, p2 := ValueOf(p.Node), &Param{grad: p.grad}
	p2.Node = b.Input(name, v.dtype, v.buf, v.shape...)
	p.more = true
	return p2
}

// weight is p, a matrix, as products read it.
func (b *Builder) weight(p *Param) *engine.Weight {
	if p.form == nil {
		v := ValueOf(p.Node)
		p.form = &engine.Weight{Master: v.buf, Out: v.shape[0], In: v.shape[1]}
		b.all = append(b.all, p.form)
	}
	return p.form
}

// Weights are the parameters that products read, which the owner of the program keeps fresh (engine.Refresh).
func (b *Builder) Weights() []*engine.Weight { return b.all }

// accumulates says whether p's gradient is added to what is there in this pass.
func (b *Builder) accumulates(p *Param) bool { return p.more || b.pass.Accumulate }

// clearGrad prepares p's gradient for kernels that only add.
func (b *Builder) clearGrad(p *Param) {
	if !b.accumulates(p) {
		b.engine.Zero(p.grad.buf)
	}
}

// Gradients extends the graph by the gradient of loss for all params.
func (b *Builder) Gradients(loss *gorgonia.Node, params []*Param) error {
	// Our own seed node instead of gorgonia.Grad's: that one is a host scalar, shared by all graphs of the process.
	seed := b.Input("seed", tensor.Float32, b.engine.Alloc(1))
	var wrt gorgonia.Nodes
	for _, p := range params {
		wrt = append(wrt, p.Node)
	}
	_, err := gorgonia.Backpropagate(gorgonia.Nodes{loss}, gorgonia.Nodes{seed}, wrt)
	return err
}

func fixed(dt tensor.Dtype, buf engine.Buf, shape ...int) *Value {
	v := &Value{buf: buf, shape: tensor.Shape(shape), dtype: dt, fixed: true}
	if buf.Len != v.Size() {
		panic(fmt.Sprintf("ops: %d elements of memory for shape %v", buf.Len, shape))
	}
	return v
}

// activation is a value on its way into a product, or the gradient of one.
func (b *Builder) activation(shape ...int) *Value { return typed(b.engine.Compute(), shape...) }

func float32s(shape ...int) *Value { return typed(engine.F32, shape...) }

func typed(t engine.Type, shape ...int) *Value {
	return &Value{buf: engine.Buf{Type: t}, shape: tensor.Shape(shape), dtype: tensor.Float32}
}

// apply adds o to the graph.
func (b *Builder) apply(o *op, ins ...*gorgonia.Node) *gorgonia.Node {
	b.ids++
	o.b, o.id, o.block, o.ins, o.args = b, b.ids, b.block, ins, make([]engine.Buf, len(ins))
	if o.diff == nil {
		o.diff = make([]bool, len(ins))
	}
	o.node = gorgonia.Must(gorgonia.ApplyOp(o, ins...))
	if other := o.node.Op().(*op); other != o && b.merged == nil {
		b.merged = fmt.Errorf("ops: %v and %v have the same hash", other, o)
	}
	return o.node
}

// extract stands for a gradient that the op of n wrote to v besides its output.
func (b *Builder) extract(n *gorgonia.Node, v *Value) *gorgonia.Node {
	return b.apply(&op{name: "extract", out: v, over: none}, n)
}
