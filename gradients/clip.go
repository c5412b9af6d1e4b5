package gradients

// ClipNorm scales v to norm max where its norm is larger, as torch.nn.utils.clip_grad_norm_ does: by max/(norm+1e-6).
// The norm is that of the fragment.
func ClipNorm(max float32) Transform { return clipNorm(max) }

type clipNorm float32

func (clipNorm) Slots() int { return 0 }

func (limit clipNorm) Apply(s Step, v, anchor Vec, st []Vec) {
	if norm := Norm(v); norm > float64(limit) {
		scale(float32(float64(limit)/(norm+1e-6))).Apply(s, v, anchor, st)
	}
}
