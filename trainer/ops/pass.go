package ops

import "fmt"

// Pass is what one run of a program needs to know beyond its inputs. The owner of the program sets it before each run.
type Pass struct {
	Accumulate bool    // loss and parameter gradients are added to what is there (later micro-batches) instead of overwriting it
	Scale      float32 // factor on the gradient of the loss: 1 / micro-batches, so that gradients become a batch's mean
	Row        int     // the row that LastRow picks

	Watch func(Event) // if set, is told of every op that has run

	next int // sequence number of the op that has to run next
}

// Start begins a run.
func (p *Pass) Start() { p.next = 0 }

// arrive checks that the machine runs ops in the order that memory was planned for: an op that came early would find its
// inputs' memory holding something else.
func (p *Pass) arrive(o *op) error {
	if o.seq != p.next {
		return fmt.Errorf("ops: %v ran as number %d, memory was planned for number %d", o, p.next, o.seq)
	}
	p.next++
	return nil
}
