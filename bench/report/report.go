// Package report says what the runs of a bench come to together: statistics over seeds, a table, pictures and one page.
package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/skein-train/skein/bench"
)

// Report is what the runs of a bench come to.
type Report struct {
	Name     string
	Expect   string   // what was expected, in words; may be empty
	Commands []string // that repeat it
	Baseline string   // what the others are compared with: a cell, or what the cells that they are compared with have in common
	Rows     []Row    // each baseline first, then those compared with it in the order of their coming
}

// Row is one cell: the runs that differ by their seeds alone. Means are over the runs that did not fail.
type Row struct {
	Cell        string
	Against     string // cell that it is compared with; its own name if it is a baseline
	Method      string
	Codec       string
	Workers     int
	Every       uint64 // inner steps between two departures of a fragment
	Runs        []bench.Outcome
	Failed      []bench.Outcome
	Loss        Estimate // nats per token
	Gap         Estimate // of the loss, relative to the baseline's with the same seed; N is 0 for the baseline itself
	BitsPerStep float64  // that a parameter costs a worker in upload
	BitsPerSync float64
	Payload     float64      // bytes of a worker's contributions
	Cosine      Estimate     // mean over rounds, between the workers' pseudo-gradients; N is 0 where there was nothing to compare
	Roads       []bench.Road // means
}

// New groups outcomes by cell. An outcome that does not say which cell it is compared with is compared with the baseline, without one with the first cell.
// It refuses outcomes that cannot be put beside each other.
func New(name, baseline string, outcomes []bench.Outcome) (*Report, error) {
	r := &Report{Name: name, Baseline: baseline}
	for _, o := range outcomes {
		i := slices.IndexFunc(r.Rows, func(row Row) bool { return row.Cell == o.Cell })
		if i < 0 {
			i = len(r.Rows)
			r.Rows = append(r.Rows, Row{Cell: o.Cell, Against: o.Against, Method: o.Method, Codec: o.Codec, Workers: o.Workers, Every: o.Every})
		}
		if o.Error != "" {
			r.Rows[i].Failed = append(r.Rows[i].Failed, o)
		} else {
			r.Rows[i].Runs = append(r.Rows[i].Runs, o)
		}
	}
	if len(r.Rows) == 0 {
		return nil, fmt.Errorf("%s: there are no runs to report on", name)
	}
	r.Baseline = cmp.Or(baseline, r.Rows[0].Cell)
	if err := r.group(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	for i := range r.Rows {
		r.Rows[i].sum()
		if row := &r.Rows[i]; !row.isBaseline() {
			row.Gap = estimate(gaps(row.Runs, r.base(*row).Runs))
		}
	}
	return r, nil
}

// group puts each baseline before the rows that are compared with it.
func (r *Report) group() error {
	at := func(cell string) int { return slices.IndexFunc(r.Rows, func(o Row) bool { return o.Cell == cell }) }
	order := map[string]int{} // of baselines
	for i := range r.Rows {
		row := &r.Rows[i]
		row.Against = cmp.Or(row.Against, r.Baseline)
		if b := at(row.Against); b < 0 || cmp.Or(r.Rows[b].Against, r.Baseline) != row.Against {
			return fmt.Errorf("there is no run of the baseline %q", row.Against)
		}
		if _, known := order[row.Against]; !known {
			order[row.Against] = len(order)
		}
	}
	slices.SortStableFunc(r.Rows, func(a, b Row) int {
		rank := func(r Row) int {
			if r.isBaseline() {
				return 2 * order[r.Against]
			}
			return 2*order[r.Against] + 1
		}
		return cmp.Compare(rank(a), rank(b))
	})
	return nil
}

// isBaseline says that the row is compared with nothing.
func (r Row) isBaseline() bool { return r.Against == r.Cell }

// base is the row that another one is compared with.
func (r *Report) base(row Row) Row {
	return r.Rows[slices.IndexFunc(r.Rows, func(o Row) bool { return o.Cell == row.Against })]
}

// sum fills in the means.
func (r *Row) sum() {
	r.Loss = estimate(each(r.Runs, func(o bench.Outcome) float64 { return o.ValLoss }))
	r.BitsPerStep = mean(each(r.Runs, bench.Outcome.BitsPerStep))
	r.BitsPerSync = mean(each(r.Runs, bench.Outcome.BitsPerSync))
	r.Payload = mean(each(r.Runs, func(o bench.Outcome) float64 { return float64(o.Payload) }))
	r.Cosine = estimate(each(slices.DeleteFunc(slices.Clone(r.Runs), func(o bench.Outcome) bool { return len(o.Cosine) == 0 }),
		func(o bench.Outcome) float64 { return mean(o.Cosine) }))
	if len(r.Runs) == 0 {
		return
	}
	for i, road := range r.Runs[0].Roads {
		at := func(f func(bench.Road) float64) float64 {
			return mean(each(r.Runs, func(o bench.Outcome) float64 { return f(o.Roads[min(i, len(o.Roads)-1)]) }))
		}
		r.Roads = append(r.Roads, bench.Road{
			Bandwidth:   road.Bandwidth,
			Time:        time.Duration(at(func(r bench.Road) float64 { return float64(r.Time) })),
			Utilisation: at(func(r bench.Road) float64 { return r.Utilisation }),
			Sent:        int64(at(func(r bench.Road) float64 { return float64(r.Sent) })),
		})
	}
}

// gaps are the relative differences of losses between runs of the same seed.
func gaps(runs, base []bench.Outcome) (out []float64) {
	for _, o := range runs {
		i := slices.IndexFunc(base, func(b bench.Outcome) bool { return b.Seed == o.Seed })
		if i >= 0 && base[i].ValLoss != 0 {
			out = append(out, o.ValLoss/base[i].ValLoss-1)
		}
	}
	return out
}

// Front are the cells that no other one beats in both loss and bits, from the cheapest on.
func (r *Report) Front() (front []Row) {
	rows := slices.DeleteFunc(slices.Clone(r.Rows), func(row Row) bool { return len(row.Runs) == 0 })
	slices.SortStableFunc(rows, func(a, b Row) int {
		return cmp.Or(cmp.Compare(a.BitsPerStep, b.BitsPerStep), cmp.Compare(a.Loss.Mean, b.Loss.Mean))
	})
	best := math.Inf(1)
	for _, row := range rows {
		if row.Loss.Mean < best {
			best = row.Loss.Mean
			front = append(front, row)
		}
	}
	return front
}

// Findings say in words what came out, a sentence a cell.
func (r *Report) Findings() (out []string) {
	for _, row := range r.Rows {
		switch base := r.base(row); {
		case len(row.Runs) == 0:
			out = append(out, fmt.Sprintf("%s failed with every seed: %s.", row.Cell, row.Failed[0].Error))
			continue
		case row.isBaseline():
			out = append(out, fmt.Sprintf("%s, the baseline, ends at %.4f nats per token and costs %s bits per parameter and inner step.", row.Cell, row.Loss.Mean, number(row.BitsPerStep)))
		default:
			out = append(out, fmt.Sprintf("%s ends %s%s.", row.Cell, row.comparison(base), row.price(base)))
		}
		if n := len(row.Failed); n > 0 {
			out = append(out, fmt.Sprintf("%s failed with %d of %d seeds: %s.", row.Cell, n, n+len(row.Runs), row.Failed[0].Error))
		}
	}
	if front := r.Front(); len(front) > 1 {
		names := each(front, func(row Row) string { return row.Cell })
		out = append(out, "Nothing here is at once cheaper and better than any of: "+strings.Join(names, ", ")+".")
	}
	return out
}

// comparison puts the gap into words, and whether it can be told from none.
func (r Row) comparison(base Row) string {
	gap := r.Gap
	if gap.N == 0 {
		return fmt.Sprintf("at %.4f nats per token (no seed in common with the baseline)", r.Loss.Mean)
	}
	than := "higher"
	if gap.Mean < 0 {
		than = "lower"
	}
	text := fmt.Sprintf("%.2f\u00a0%% %s than %s", 100*math.Abs(gap.Mean), than, base.Cell)
	switch low, high := gap.Bounds(); {
	case gap.N == 1:
		return text + " (one seed, no interval)"
	case low <= 0 && high >= 0:
		return fmt.Sprintf("%s (95\u00a0%% interval %+.2f to %+.2f\u00a0%%: not told from none by %d seeds)", text, 100*low, 100*high, gap.N)
	default:
		return fmt.Sprintf("%s (95\u00a0%% interval %+.2f to %+.2f\u00a0%%)", text, 100*low, 100*high)
	}
}

// price compares bits with the baseline's.
func (r Row) price(base Row) string {
	if r.BitsPerStep <= 0 || base.BitsPerStep <= 0 {
		return ""
	}
	switch factor := base.BitsPerStep / r.BitsPerStep; {
	case factor > 1.005:
		return fmt.Sprintf(" for %s times fewer bits", number(factor))
	case factor < 0.995:
		return fmt.Sprintf(" for %s times the bits", number(1/factor))
	}
	return " for as many bits"
}
