package engine

// Scalar is a factor that a call takes: Value, times the F64 At, if that is not empty, as it is when the call is done. So calls that
// a Recorder took down find other factors at each replay. A call whose factor is NaN changes nothing.
type Scalar struct {
	Value float64
	At    Buf
}

// Scalars is memory for n of them.
func Scalars(e interface{ Alloc(n int) Buf }, n int) Buf { return e.Alloc(F64.Words(n)).At(0, n, F64) }

// Number is a Scalar that is known beforehand.
func Number(v float64) Scalar { return Scalar{Value: v} }

// AdamW holds the scalars of one decoupled-weight-decay Adam step (Loshchilov & Hutter 2019), torch.optim.AdamW's formula. They are
// float64 because what is worked out from them once a step should not be off by the rounding of .9.
type AdamW struct {
	Beta1, Beta2, Eps, WeightDecay float64
	Step                           Buf // F64 [4], by the constants below, read when the call is done; with a NaN in place of the scale it changes nothing
}

// Where the scalars of AdamW.Step are.
const (
	StepScale   = iota // the gradient is multiplied by this first: clipping
	StepRate           // learning rate
	StepFirst          // bias corrections, 1−Beta1^t and 1−Beta2^t in step t, counted from 1
	StepSecond         //
	StepScalars        // their number
)

// ClipScale is the factor that brings a gradient of that norm down to limit: limit / (norm + 1e-6), as
// torch.nn.utils.clip_grad_norm_ has it, 1 if the norm is within the limit or limit is 0.
func ClipScale(norm, limit float64) float64 {
	if limit == 0 || norm <= limit {
		return 1
	}
	return limit / (norm + 1e-6)
}
