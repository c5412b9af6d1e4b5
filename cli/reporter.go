package cli

import (
	"context"
	"io"
	"sync"
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

// reports says whether worker w is the one to report a landing.
func (r *reporter) reports(w *worker, l aggregator.Landing) bool {
	for _, peer := range l.Worker.Chain().Roster().Peers() {
		for _, local := range r.workers {
			if local.signer.ID == peer {
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
	if every := uint64(r.cfg.Eval.Every); every > 0 && rec.Round%every == 0 && l.Certificate.Seq < r.manifest.Schedule.Rounds() {
		if rec.EvalLoss, err = r.glance(ctx, w, l.Worker.State().Anchor); err != nil {
			return err
		}
	}
	if rec.Round%uint64(r.cfg.Checkpoint.Every) == 0 || l.Certificate.Seq == r.manifest.Schedule.Rounds() {
		if rec.Checkpoint, err = r.publish(ctx, w, l, rec.EvalLoss); err != nil {
			return err
		}
	}
	schedule := r.manifest.Schedule
	left := time.Duration(0)
	if done := rec.Step; done > 0 {
		left = time.Duration(r.wall() / float64(done) * float64(schedule.Steps-done) * float64(time.Second))
	}
	ddp := ddpBytes(r.cfg.Swarm.LocalWorkers, r.layout.Len(), rec.Step)
	r.out.update("") // what it says is of the round before
	r.out.line("%s", roundLine(rec, uint64(schedule.Rounds()), schedule.Steps, r.cfg.Swarm.LocalWorkers, ddp, left))
	r.last = rec
	return r.file.append(rec)
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
	rec.CosineMean, err = r.cosine(ctx, w, cert)
	return rec, err
}

// count fills in the bytes that went over the sockets, of all lives of the run.
func (r *reporter) count(rec *record) {
	sent, received := r.traffic()
	rec.BytesSent, rec.BytesRecv = r.earlier.BytesSent+sent, r.earlier.BytesRecv+received
	sent, received = r.seat.Traffic()
	rec.SeatSent, rec.SeatRecv = r.earlier.SeatSent+sent, r.earlier.SeatRecv+received
}

// cosine is the mean cosine between the counted pseudo-gradients.
func (r *reporter) cosine(ctx context.Context, w *worker, cert *aggregator.Certificate) (float64, error) {
	f := r.layout.Fragments()[cert.Key.Fragment]
	codec, err := codecOf(r.cfg)(r.layout, f)
	if err != nil {
		return 0, err
	}
	one, all := make(gradients.Vec, f.Len()), agreement{sum: make(gradients.Vec, f.Len())}
	for i := range cert.List {
		payload, err := readPayload(ctx, w.timed, &cert.List[i].SignedHeader)
		if err != nil {
			return 0, err
		}
		if gradients.Decoded(codec, one, payload) != nil {
			continue // refused by everybody
		}
		all.add(one)
	}
	return all.mean(), nil
}

func readPayload(ctx context.Context, x aggregator.Exchange, h *aggregator.SignedHeader) ([]byte, error) {
	r, err := x.Open(ctx, h)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}
