package cli

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// reporter turns landings into records, progress lines, evaluations and checkpoints. At every round one worker
// reports: the one with the lowest slot on this machine, so that a worker that dies is replaced by the next.
type reporter struct {
	*session
	file    *metricsFile
	earlier record // where earlier lives of the run left off
	started time.Time
	mu      sync.Mutex // a worker that fell out of the roster may still be reporting when the next one starts
	last    record

	newest, older atomic.Uint64 // rounds of the last two checkpoints that were announced
}

func newReporter(s *session) (*reporter, error) {
	file, last, err := openMetrics(s.dir.metrics())
	if err != nil {
		return nil, err
	}
	return &reporter{session: s, file: file, earlier: last, last: last, started: time.Now()}, nil
}

// wall is the run's time so far in seconds, without the pauses between its lives.
func (r *reporter) wall() float64 { return r.earlier.WallS + time.Since(r.started).Seconds() }

// reports says whether worker w is the one to report a landing. On a machine without a seat that is the first one that is not
// lost: it follows the log even while it is not in the roster.
func (r *reporter) reports(w *worker, l aggregator.Landing) bool {
	if r.seat == nil {
		return w == r.lead()
	}
	for _, peer := range l.Worker.Chain().Roster().Peers() {
		for _, local := range r.workers {
			if local.signer.ID == peer && !local.gone.Load() {
				return local == w
			}
		}
	}
	return false
}

// landed reports one landing, once: after a crash a round may land again.
func (r *reporter) landed(ctx context.Context, w *worker, l aggregator.Landing) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if uint64(l.Certificate.Seq) <= r.last.Round {
		return nil
	}
	rec, err := r.record(ctx, w, l)
	if err != nil {
		return err
	}
	if r.seat != nil {
		if err := r.care(ctx, w, l, &rec); err != nil {
			return err
		}
	}
	r.out.update("") // what it says is of the round before
	r.out.line("%s", r.describe(ctx, l, rec))
	r.last = rec
	return r.file.append(rec)
}

// care is what the machine that started the run does for it: evaluations and checkpoints.
func (r *reporter) care(ctx context.Context, w *worker, l aggregator.Landing, rec *record) (err error) {
	last := l.Certificate.Seq == r.manifest.Schedule.Rounds()
	if every := uint64(r.cfg.Eval.Every); every > 0 && rec.Round%every == 0 && !last {
		rec.EvalLoss, err = r.glance(ctx, w, l.Worker.State().Anchor)
		if err != nil && w.replica.Err() == nil { // a lost device ends the worker, when this round is told
			return err
		}
	}
	if (rec.Round%uint64(r.cfg.Checkpoint.Every) == 0 || last) && !l.Worker.Apart() {
		if rec.Checkpoint, err = r.publish(ctx, w, l, rec.EvalLoss); err != nil {
			return err
		}
		r.older.Store(r.newest.Swap(uint64(l.Certificate.Seq)))
	}
	return nil
}

// describe is the line of a round.
func (r *reporter) describe(ctx context.Context, l aggregator.Landing, rec record) string {
	schedule, left := r.manifest.Schedule, time.Duration(0)
	if done := rec.Step; done > 0 {
		left = time.Duration(r.wall() / float64(done) * float64(schedule.Steps-done) * float64(time.Second))
	}
	peers := max(r.cfg.Swarm.LocalWorkers, len(l.Worker.Chain().Roster().Slots()), rec.PeersActive)
	ddp := ddpBytes(peers, r.layout.Len(), rec.Step)
	line := roundLine(rec, uint64(schedule.Rounds()), schedule.Steps, peers, ddp, left)
	if r.remark != nil {
		if word := r.remark(ctx, l); word != "" {
			line += "  " + word
		}
	}
	return line
}

// record measures one round.
func (r *reporter) record(ctx context.Context, w *worker, l aggregator.Landing) (record, error) {
	cert := l.Certificate
	rec := record{
		Round: uint64(cert.Seq), Step: l.Step, WallS: r.wall(), TrainLoss: r.last.TrainLoss, Tokens: r.last.Tokens,
		OuterLR: r.cfg.Outer.LR, PseudogradNorm: l.Norm, WaitS: w.timed.take().Seconds(), PeersActive: len(cert.List), Root: cert.BaseRoot.String(),
		LR: float64(r.rate(cert.Key.Departure)),
	}
	var loss, weight, bytes float64
	for _, e := range cert.List {
		loss += float64(e.Loss) * float64(e.Weight)
		weight += float64(e.Weight)
		bytes += float64(e.Size)
		rec.Tokens += e.Weight
	}
	if weight > 0 {
		f := r.layout.Fragments()[cert.Key.Fragment]
		rec.TrainLoss = loss / weight
		rec.PayloadBytes = uint64(bytes / float64(len(cert.List)))
		rec.BitsPerParam = 8 * bytes / float64(len(cert.List)) / float64(f.Len())
	}
	if seconds := rec.WallS - r.last.WallS; seconds > 0 {
		rec.TokensPerSec = float64(rec.Tokens-r.last.Tokens) / seconds
	}
	if r.method.LR != nil {
		rec.OuterLR = float64(r.method.LR(cert.Key.Departure))
	}
	r.count(&rec)
	var err error
	rec.CosineMean, err = r.parts.cosine(ctx, w.timed, l)
	return rec, err
}

// count fills in the bytes that went over the sockets, of all lives of the run.
func (r *reporter) count(rec *record) {
	sent, received := r.traffic()
	rec.BytesSent, rec.BytesRecv = r.earlier.BytesSent+sent, r.earlier.BytesRecv+received
	if r.seat != nil {
		sent, received = r.seat.node.Traffic()
		rec.SeatSent, rec.SeatRecv = r.earlier.SeatSent+sent, r.earlier.SeatRecv+received
	}
}

// cosine is the mean cosine between the pseudo-gradients that a worker has merged, nil where it merged fewer than two: others it did
// not fetch.
func (p parts) cosine(ctx context.Context, x aggregator.Exchange, l aggregator.Landing) (*float64, error) {
	if len(l.Merged) < 2 || l.Gathers() {
		return nil, nil
	}
	f := p.layout.Fragments()[l.Certificate.Key.Fragment]
	codec, err := p.method.Codec(p.layout, f)
	if err != nil {
		return nil, err
	}
	one, all := make(gradients.Vec, f.Len()), agreement{sum: make(gradients.Vec, f.Len())}
	if p.method.Pull != 0 {
		one = make(gradients.Vec, 2*f.Len()) // the anchor is behind the pseudo-gradient
	}
	for i := range l.Merged {
		payload, err := readPayload(ctx, x, &l.Merged[i].SignedHeader)
		if errors.Is(err, aggregator.ErrGone) {
			continue // a worker with an anchor of its own goes on without it
		}
		if err != nil {
			return nil, err
		}
		if gradients.Decoded(codec, one, payload) != nil {
			continue // refused by everybody
		}
		all.add(one[:f.Len()])
	}
	mean := all.mean()
	return &mean, nil
}

func readPayload(ctx context.Context, x aggregator.Exchange, h *aggregator.SignedHeader) ([]byte, error) {
	r, err := x.Open(ctx, h)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
