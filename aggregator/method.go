package aggregator

import (
	"fmt"

	"github.com/skein-train/skein/gradients"
)

// Method is a training method as a value made of parts. The methods differ in parts, not in code: each is a short
// constructor in a file of its own.
type Method struct {
	Name string
	// Codec carries a fragment's pseudo-gradient.
	Codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error)
	// Feedback is β of error feedback: the share of what was not sent that is added to the next pseudo-gradient.
	// 0 drops it.
	Feedback float32
	// Outer turns the mean pseudo-gradient of a fragment into the step that is subtracted from the anchor.
	Outer func(gradients.Layout, gradients.Fragment) gradients.Transform
	// Blend is α: the share of its own progress that a worker keeps when an update lands (arXiv 2501.18512, eq. 3).
	Blend float32
	// LR is the inner learning rate of inner step 1, 2, …, for outer transforms that follow its schedule. It must give
	// the same bits everywhere.
	LR func(step uint64) float32
	// Gradient says that the replica has no inner optimizer: what travels is the gradient itself.
	Gradient bool

	// Private says that every worker has an anchor and an outer optimizer of its own: the log certifies who took part in what, not
	// a common state. The last round gathers: it leaves everybody at the mean of all workers' parameters, which is the model.
	// Such a method has one fragment and no error feedback.
	Private bool
	// Pull is, for a private method, the share of the distance to the mean of the merged anchors that is added to the mean
	// pseudo-gradient. Contributions then carry anchors: Codec is for twice the fragment (gradients.Both).
	Pull float32
	// Fresh says, for a private method whose rounds land when the next one departs, that a worker's own part in what lands is what has
	// just departed.
	Fresh bool
}

// validate reports parts that do not fit together, or the run's terms.
func (m Method) validate(terms *Manifest) error {
	s := terms.Schedule
	switch {
	case !m.Private && (m.Pull != 0 || m.Fresh):
		return fmt.Errorf("method %s: only workers with anchors of their own are pulled, or merge what is fresh", m.Name)
	case terms.Topology == Pair && (!m.Private || m.Fresh):
		return fmt.Errorf("method %s: it needs what everybody sends, the run's topology is %s", m.Name, terms.Topology)
	case m.Private && (s.Fragments != 1 || m.Feedback != 0):
		return fmt.Errorf("method %s: %d fragments and error feedback %g: it has one fragment and no feedback", m.Name, s.Fragments, m.Feedback)
	case m.Fresh && s.Delay != s.Every:
		return fmt.Errorf("method %s: a delay of %d steps: what is fresh departs every %d", m.Name, s.Delay, s.Every)
	}
	return nil
}
