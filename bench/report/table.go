package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/bench"
)

// Table is the rows as text, header first. The first column is a name, all others are numbers.
func (r *Report) Table() [][]string {
	header := []string{"", "loss", "gap to " + r.Baseline, "bit/param/step", "/sync", "payload", "cosine"}
	for _, road := range r.roads() {
		header = append(header, Bandwidth(road.Bandwidth))
	}
	out := [][]string{header}
	for _, row := range r.Rows {
		line := []string{row.Cell, row.Loss.format("%.*f", 4), row.gap(), "–", "–", "–", row.Cosine.format("%.*f", 3)}
		switch {
		case row.isBaseline():
			line[2] = "baseline"
		case len(row.Runs) == 0:
			line[1] = "failed"
		}
		if len(row.Runs) > 0 {
			line[3], line[4], line[5] = number(row.BitsPerStep), number(row.BitsPerSync), humanize.Bytes(uint64(row.Payload))
		}
		for _, road := range row.Roads {
			line = append(line, fmt.Sprintf("%s (%.0f %%)", span(road.Time), 100*road.Utilisation))
		}
		for len(line) < len(header) {
			line = append(line, "–")
		}
		out = append(out, line)
	}
	return out
}

// gap as per cent.
func (r Row) gap() string {
	if r.Gap.N == 0 {
		return "–"
	}
	return r.Gap.times(100).format("%+.*f", 2) + " %"
}

// roads are those of the first cell that has any.
func (r *Report) roads() []bench.Road {
	for _, row := range r.Rows {
		if len(row.Roads) > 0 {
			return row.Roads
		}
	}
	return nil
}

// Notes explain the table.
func (r *Report) Notes() []string {
	out := []string{"loss in nats per token on validation text; ± is a 95 % interval over seeds, that of the gap over pairs of the same seed"}
	if seeds := r.seeds(); seeds == 1 {
		out[0] = "loss in nats per token on validation text; one seed, no interval"
	} else if seeds == 2 {
		out[0] += " (from two seeds it is wide: Student's t is 12.7)"
	}
	roads := "times and utilisation (in brackets) are at that bandwidth up and down"
	if r.measured() {
		roads = "as it ran: time by the clock, and the part of it in which nobody was waited for"
	}
	out = append(out, "payload is what a worker uploads in the whole run, framing included; "+roads)
	for _, row := range r.Rows {
		for _, o := range row.Failed {
			out = append(out, fmt.Sprintf("%s, seed %d failed: %s", o.Cell, o.Seed, o.Error))
		}
	}
	return out
}

// measured says that times are those of real runs.
func (r *Report) measured() bool {
	roads := r.roads()
	return len(roads) > 0 && roads[0].Bandwidth == 0
}

// seeds is the largest number of runs in a cell.
func (r *Report) seeds() (n int) {
	for _, row := range r.Rows {
		n = max(n, len(row.Runs))
	}
	return n
}

// Print writes the table for a terminal.
func (r *Report) Print(w io.Writer) error {
	table := r.Table()
	widths := make([]int, len(table[0]))
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var b bytes.Buffer
	for _, line := range table {
		var text strings.Builder
		for i, cell := range line {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				text.WriteString(cell + pad)
			} else {
				text.WriteString("  " + pad + cell)
			}
		}
		fmt.Fprintln(&b, strings.TrimRight(text.String(), " "))
	}
	for _, n := range r.Notes() {
		fmt.Fprintln(&b, n)
	}
	_, err := w.Write(b.Bytes())
	return err
}

// CSV is one line a run, with the header first. What is not known stays empty.
func (r *Report) CSV() ([]byte, error) {
	header := []string{"cell", "seed", "method", "codec", "workers", "every", "params", "steps", "tokens", "val_loss", "gap_to_baseline",
		"bits_per_param_step", "bits_per_param_sync", "payload_bytes", "cosine_mean", "seconds", "error"}
	roads := r.roads()
	for _, road := range roads {
		at := "@" + strconv.FormatFloat(road.Bandwidth, 'g', -1, 64) + "bit/s"
		if road.Bandwidth == 0 {
			at = "@measured"
		}
		header = append(header, "time_s"+at, "utilisation"+at, "sent_bytes"+at)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	if err := w.Write(header); err != nil {
		return nil, err
	}
	for _, row := range r.Rows {
		for _, o := range append(row.Runs[:len(row.Runs):len(row.Runs)], row.Failed...) {
			line := []string{o.Cell, fmt.Sprint(o.Seed), o.Method, o.Codec, fmt.Sprint(o.Workers), fmt.Sprint(o.Every), fmt.Sprint(o.Params), fmt.Sprint(o.Steps), fmt.Sprint(o.Tokens)}
			gap := math.NaN()
			if pair := gaps([]bench.Outcome{o}, r.base(row).Runs); !row.isBaseline() && len(pair) == 1 {
				gap = pair[0]
			}
			if o.Error == "" {
				line = append(line, plain(o.ValLoss), plain(gap), plain(o.BitsPerStep()), plain(o.BitsPerSync()), fmt.Sprint(o.Payload), plain(mean(o.Cosine)), plain(o.Seconds), "")
				for _, road := range o.Roads {
					line = append(line, plain(road.Time.Seconds()), plain(road.Utilisation), fmt.Sprint(road.Sent))
				}
			} else {
				line = append(line, "", "", "", "", "", "", plain(o.Seconds), o.Error)
			}
			for len(line) < len(header) {
				line = append(line, "")
			}
			if err := w.Write(line); err != nil {
				return nil, err
			}
		}
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// plain is a number for programs to read.
func plain(v float64) string {
	if math.IsNaN(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 8, 64)
}

// number is a number for people to read: three digits that count.
func number(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "–"
	case a == 0 || a >= 99.95:
		return humanize.Comma(int64(math.Round(v)))
	case a < 1e-4:
		return fmt.Sprintf("%.1e", v)
	default:
		digits := 2 - int(math.Floor(math.Log10(a)))
		text := strconv.FormatFloat(v, 'f', max(0, digits), 64)
		if strings.Contains(text, ".") {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return text
	}
}

// Bandwidth names a bandwidth; 0 is that of a real run.
func Bandwidth(bitsPerSecond float64) string {
	if bitsPerSecond == 0 {
		return "as it ran"
	}
	for _, unit := range []struct {
		size float64
		name string
	}{{1e9, "Gbit/s"}, {1e6, "Mbit/s"}, {1e3, "kbit/s"}} {
		if bitsPerSecond >= unit.size {
			return number(bitsPerSecond/unit.size) + " " + unit.name
		}
	}
	return number(bitsPerSecond) + " bit/s"
}

// span prints a duration as people say it.
func span(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	switch {
	case d < 100*time.Second:
		return fmt.Sprintf("%.1fs", d.Seconds())
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	case s < 24*3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
	}
	return fmt.Sprintf("%dd%02dh", s/86400, s/3600%24)
}
