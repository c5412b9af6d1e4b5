package cli

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/internal/usage"
	"github.com/skein-train/skein/shards"
)

type benchCodecFlags struct {
	parameters, rounds int
	config             string
	json               bool
}

func newBenchCodecCommand() *cobra.Command {
	var f benchCodecFlags
	cmd := &cobra.Command{
		Use:   "codec [NAME …]",
		Short: "measure what codecs send, what they lose, and how fast they are",
		Long: "codec encodes and decodes vectors and prints bits per parameter (headers, scales and tables included), the part of the vector's length\n" +
			"that is lost, and millions of parameters per second and core. The vectors are Gaussian numbers, and the pseudo-gradients of a worker that trains\n" +
			"some rounds by the run file --config. NAME is what sync.codec takes; without one all ways to write values are measured, and an example of each way to\n" +
			"send less than everything. Speeds count processor time, where the system tells it, of encoding, and of decoding one payload to its mean.",
		Example: "  skein bench codec\n  skein bench codec topk:64/4096+2bit int8+zstd --parameters 100000000 --rounds 0",
		RunE:    f.run,
	}
	flags := cmd.Flags()
	flags.IntVar(&f.parameters, "parameters", 1<<24, "Gaussian numbers to encode")
	flags.IntVar(&f.rounds, "rounds", 3, "rounds to train for pseudo-gradients; 0 measures Gaussian numbers only")
	flags.StringVar(&f.config, "config", "", "run file of the training; without one it is the small default model on enwik7")
	flags.BoolVar(&f.json, "json", false, "print the measurements as JSON on standard output; progress goes to standard error")
	return cmd
}

func (f *benchCodecFlags) run(cmd *cobra.Command, names []string) error {
	if f.parameters < 1 || f.rounds < 0 {
		return fmt.Errorf("--parameters %d must be at least 1, --rounds %d not negative", f.parameters, f.rounds)
	}
	if len(names) == 0 {
		names = gradients.Names()
	}
	l := benchLayout(f.parameters)
	for _, name := range names {
		if _, err := gradients.New(name, l, l.Fragments()[0]); err != nil {
			return err
		}
	}
	out := newConsole(cmd.OutOrStdout())
	if f.json {
		out = newConsole(cmd.ErrOrStderr())
	}
	deltas, err := f.deltas(cmd.Context(), runsDir(cmd), out)
	if err != nil {
		return err
	}
	gaussian := vectors{l, []gradients.Vec{gaussian(l.Len())}}
	var found []codecMeasurement
	for _, name := range names {
		out.update("measuring %s", name)
		m := codecMeasurement{Codec: name}
		if err := m.measure(cmd.Context(), gaussian, deltas); err != nil {
			return err
		}
		found = append(found, m)
	}
	out.update("")
	if f.json {
		return printJSON(cmd, found)
	}
	tellCodecs(out, found, l.Len(), deltas)
	return nil
}

// vectors are pseudo-gradients of one layout, one after the other.
type vectors struct {
	layout gradients.Layout
	rounds []gradients.Vec
}

// benchLayout is one matrix and, in what is left over, a vector: n elements in all.
func benchLayout(n int) gradients.Layout {
	const cols = 4096
	var l gradients.Layout
	if rows := n / cols; rows > 0 {
		l = append(l, gradients.Tensor{Name: "matrix", Shape: []int{rows, cols}})
	}
	if rest := n - l.Len(); rest > 0 {
		l = append(l, gradients.Tensor{Name: "vector", Shape: []int{rest}, Off: l.Len()})
	}
	return l
}

func gaussian(n int) gradients.Vec {
	r, v := rand.New(rand.NewPCG(1, 1)), make(gradients.Vec, n)
	for i := range v {
		v[i] = float32(r.NormFloat64() / 100)
	}
	return v
}

// deltas trains one worker and records anchor − params of every round, the anchor following the worker.
func (f *benchCodecFlags) deltas(ctx context.Context, runs string, out *console) (vectors, error) {
	if f.rounds == 0 {
		return vectors{}, nil
	}
	c, err := configs.Defaults([]string{"data.source=enwik7"})
	if f.config != "" {
		c, err = configs.Load(f.config, nil)
	}
	if err != nil {
		return vectors{}, err
	}
	c.Swarm.LocalWorkers, c.Sync.Fragments = 1, 1
	text, err := prepareCorpus(ctx, c, runs, out)
	if err != nil {
		return vectors{}, err
	}
	defer text.close()
	r, err := newReplica(c, 0, text.data)
	if err != nil {
		return vectors{}, err
	}
	defer r.close()
	if err := r.Replica.Begin(shards.Seat{Count: 1 << 62}); err != nil {
		return vectors{}, err
	}
	v, anchor := vectors{layout: r.Layout()}, make(gradients.Vec, r.Len())
	whole := v.layout.Fragments()[0]
	for round := range f.rounds {
		r.Read(anchor, whole)
		for step := range c.Sync.Every {
			out.update("training for pseudo-gradients: step %d of %d", round*c.Sync.Every+step+1, f.rounds*c.Sync.Every)
			if _, err := r.Step(ctx); err != nil {
				return vectors{}, err
			}
		}
		delta := make(gradients.Vec, r.Len())
		r.Delta(delta, anchor, whole)
		v.rounds = append(v.rounds, delta)
	}
	return v, nil
}

// codecMeasurement is what `skein bench codec` found about one codec.
type codecMeasurement struct {
	Codec    string     `json:"codec"`
	Gaussian codecLoss  `json:"gaussian"`
	Deltas   *codecLoss `json:"deltas,omitempty"` // of all rounds together
	Encode   float64    `json:"encode_mparams_s"` // per second and core, of Gaussian numbers
	Decode   float64    `json:"decode_mparams_s"`
}

// codecLoss is what a codec makes of some vectors.
type codecLoss struct {
	BitsPerParam float64 `json:"bits_per_param"`
	Error        float64 `json:"error"`               // mean of |v − decoded| / |v|
	WithFeedback float64 `json:"error_with_feedback"` // of the sum of all vectors, when each takes along what the ones before have lost
}

func (m *codecMeasurement) measure(ctx context.Context, gaussian, deltas vectors) (err error) {
	if m.Gaussian, err = lossOf(m.Codec, gaussian); err != nil {
		return err
	}
	if len(deltas.rounds) > 0 {
		loss, err := lossOf(m.Codec, deltas)
		if err != nil {
			return err
		}
		m.Deltas = &loss
	}
	return m.time(ctx, gaussian)
}

// lossOf sends the vectors one after the other, as they are and with error feedback.
func lossOf(name string, v vectors) (loss codecLoss, err error) {
	f := v.layout.Fragments()[0]
	plain, err := gradients.New(name, v.layout, f)
	if err != nil {
		return loss, err
	}
	n, bytes := f.Len(), 0
	st, fed := encoderSlots(plain, n), encoderSlots(plain, n)
	decoded, residual, sum := make(gradients.Vec, n), make(gradients.Vec, n), make(gradients.Vec, n)
	var payload []byte
	for i, delta := range v.rounds {
		key := gradients.Key{Departure: uint64(i)}
		payload = plain.Append(payload[:0], key, delta, st)
		if err := gradients.Decoded(plain, decoded, payload); err != nil {
			return loss, err
		}
		bytes += len(payload)
		gradients.Sub(decoded, delta, decoded)
		loss.Error += gradients.Norm(decoded) / gradients.Norm(delta) / float64(len(v.rounds))

		gradients.Axpy(sum, 1, delta)
		gradients.Axpy(residual, 1, delta)
		payload = plain.Append(payload[:0], key, residual, fed)
		if err := gradients.Decoded(plain, decoded, payload); err != nil {
			return loss, err
		}
		gradients.Sub(residual, residual, decoded)
	}
	loss.BitsPerParam = 8 * float64(bytes) / float64(n*len(v.rounds))
	loss.WithFeedback = gradients.Norm(residual) / gradients.Norm(sum) // what is still here is what has not arrived
	return loss, nil
}

func encoderSlots(c gradients.Codec, n int) []gradients.Vec {
	st := make([]gradients.Vec, c.Slots())
	for i := range st {
		st[i] = make(gradients.Vec, n)
	}
	return st
}

// time takes the best of several runs.
func (m *codecMeasurement) time(ctx context.Context, v vectors) error {
	f := v.layout.Fragments()[0]
	c, err := gradients.New(m.Codec, v.layout, f)
	if err != nil {
		return err
	}
	st, decoded := encoderSlots(c, f.Len()), make(gradients.Vec, f.Len())
	payload := make([]byte, 0, c.MaxSize())
	encode, err := bestTime(ctx, func() error {
		payload = c.Append(payload[:0], gradients.Key{}, v.rounds[0], st)
		return nil
	})
	if err != nil {
		return err
	}
	decode, err := bestTime(ctx, func() error { return gradients.Decoded(c, decoded, payload) })
	m.Encode, m.Decode = float64(f.Len())/encode.Seconds()/1e6, float64(f.Len())/decode.Seconds()/1e6
	return err
}

// bestTime repeats work at least thrice and for half a second, and returns the shortest processor time of one run; clock time where
// the system does not tell the other.
func bestTime(ctx context.Context, work func() error) (best time.Duration, err error) {
	for start, i := time.Now(), 0; i < 3 || time.Since(start) < time.Second/2; i++ {
		wall, cpu := time.Now(), usage.CPU()
		if err := cmp.Or(work(), ctx.Err()); err != nil {
			return 0, err
		}
		took := cmp.Or(usage.CPU()-cpu, time.Since(wall))
		if best == 0 || took < best {
			best = max(took, 1)
		}
	}
	return best, nil
}

// tellCodecs prints the table.
func tellCodecs(out *console, found []codecMeasurement, n int, deltas vectors) {
	out.line("%s Gaussian numbers; speeds in millions of parameters per second and core", humanize.Comma(int64(n)))
	head := fmt.Sprintf("%-22s %10s %7s %8s %8s", "codec", "bits/param", "error", "encode", "decode")
	if len(deltas.rounds) > 0 {
		out.line("behind the bar: pseudo-gradients of %s parameters, %s; fed back: error of their sum, with error feedback", humanize.Comma(int64(deltas.layout.Len())), count(len(deltas.rounds), "round"))
		head += fmt.Sprintf(" | %10s %7s %8s", "bits/param", "error", "fed back")
	}
	out.line("")
	out.line("%s", head)
	for _, m := range found {
		row := fmt.Sprintf("%-22s %10.4f %7.4f %8.0f %8.0f", m.Codec, m.Gaussian.BitsPerParam, m.Gaussian.Error, m.Encode, m.Decode)
		if m.Deltas != nil {
			row += fmt.Sprintf(" | %10.4f %7.4f %8.4f", m.Deltas.BitsPerParam, m.Deltas.Error, m.Deltas.WithFeedback)
		}
		out.line("%s", row)
	}
}
