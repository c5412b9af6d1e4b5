package ops

import (
	"slices"

	"gorgonia.org/gorgonia"
)

// Turn is one op's use of memory, for the planner.
type Turn struct {
	Out   *Value   // what it writes
	Side  []*Value // what it writes besides
	Reads []*Value // what it reads
	Over  *Value   // the one among Reads whose memory Out may take over if this is its last use; nil: none
}

// Order numbers the ops of a finished graph in the order in which the machine will run them and returns their turns.
func (b *Builder) Order() ([]Turn, error) {
	sorted, err := gorgonia.Sort(b.graph)
	if err != nil {
		return nil, err
	}
	slices.Reverse(sorted) // Gorgonia sorts from results to inputs
	var turns []Turn
	for _, n := range sorted {
		o, ok := n.Op().(*op)
		if !ok {
			continue
		}
		o.seq = len(turns)
		t := Turn{Out: o.out, Side: o.side, Reads: slices.Clone(o.also)}
		for _, in := range o.ins {
			t.Reads = append(t.Reads, ValueOf(in))
		}
		if o.over != none {
			t.Over = ValueOf(o.ins[o.over])
		}
		turns = append(turns, t)
	}
	return turns, nil
}

// ValueOf is the memory of an input's or an op's node.
func ValueOf(n *gorgonia.Node) *Value {
	if o, ok := n.Op().(*op); ok {
		return o.out
	}
	return n.Value().(*Value)
}
