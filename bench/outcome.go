package bench

import (
	"time"
)

// Outcome is what one run of a matrix came to.
type Outcome struct {
	Cell    string `json:"cell"`
	Against string `json:"against,omitempty"` // cell that it is compared with; empty: the report's baseline
	Seed    uint64 `json:"seed"`
	Method  string `json:"method"`
	Codec   string `json:"codec"`
	Workers int    `json:"workers"`
	Every   uint64 `json:"every"` // inner steps between two departures of a fragment
	Params  int    `json:"params"`
	Steps   uint64 `json:"steps"`  // inner steps of a worker; of an asynchronous run, on average
	Tokens  uint64 `json:"tokens"` // of all workers

	ValLoss float64   `json:"val_loss"` // nats per token at the end; NaN never: a run that diverges is an error
	Points  []Point   `json:"points"`
	Root    string    `json:"root"`
	Payload int64     `json:"payload_bytes"` // a worker's contributions, framing included: of the one that sent most, or the mean in an asynchronous run
	Cosine  []float64 `json:"cosine"`        // between the counted pseudo-gradients, round by round
	Seconds float64   `json:"seconds"`       // of real time that it took to find out
	Roads   []Road    `json:"roads"`
	Error   string    `json:"error,omitempty"` // why it did not come to its end
	Key     string    `json:"key,omitempty"`   // hash of the settings that it hangs on
}

// Point is the state after a landing.
type Point struct {
	Round   uint64   `json:"round"`
	Step    uint64   `json:"step"`
	Tokens  uint64   `json:"tokens"`
	Payload int64    `json:"payload_bytes"` // of worker 0 so far
	Loss    float64  `json:"train_loss"`    // of worker 0 since the departure before
	Val     *float64 `json:"val_loss,omitempty"`
	Wall    float64  `json:"wall_s,omitempty"` // since the start, of a run in real time
}

// Road is what the run takes at one bandwidth.
type Road struct {
	Bandwidth   float64       `json:"bandwidth"` // bit/s up and down
	Time        time.Duration `json:"time_ns"`
	Utilisation float64       `json:"utilisation"`
	Sent        int64         `json:"sent_bytes"` // by the worker that sent most
}

// BitsPerStep is what a parameter costs a worker per inner step, in bits of upload.
func (o Outcome) BitsPerStep() float64 {
	return 8 * float64(o.Payload) / float64(o.Params) / float64(max(1, o.Steps))
}

// BitsPerSync is what a parameter costs a worker each time that it is exchanged.
func (o Outcome) BitsPerSync() float64 { return o.BitsPerStep() * float64(o.Every) }
