package report

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/internal/durable"
)

// Write puts the report into a folder: report.html, bench.csv, and every picture as PNG and SVG. It returns their paths, the page first.
func (r *Report) Write(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("report: %w", err)
	}
	type file struct {
		name string
		make func() ([]byte, error)
	}
	files := []file{{"report.html", r.HTML}, {"bench.csv", r.CSV}}
	for _, c := range r.Charts() {
		files = append(files, file{c.File + ".png", c.PNG}, file{c.File + ".svg", c.SVG})
	}
	var paths []string
	for _, f := range files {
		b, err := f.make()
		path := filepath.Join(dir, f.name)
		if err == nil {
			err = durable.WriteFile(path, 0o644, durable.Crash, b)
		}
		if err != nil {
			return nil, fmt.Errorf("report: %s: %w", f.name, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// setting says in one line what all runs are, as far as they agree.
func (r *Report) setting() string {
	var parts []string
	same := func(f func(Row) string) {
		first := f(r.Rows[0])
		for _, row := range r.Rows {
			if len(row.Runs) > 0 && f(row) != first {
				return
			}
		}
		if first != "" {
			parts = append(parts, first)
		}
	}
	run := func(f func(row Row) string) func(Row) string {
		return func(row Row) string {
			if len(row.Runs) == 0 {
				return ""
			}
			return f(row)
		}
	}
	same(run(func(row Row) string { return humanize.Comma(int64(row.Runs[0].Params)) + " parameters" }))
	same(run(func(row Row) string { return plural(row.Workers, "worker") }))
	same(run(func(row Row) string { return humanize.Comma(int64(row.Runs[0].Steps)) + " inner steps" }))
	same(run(func(row Row) string { return humanize.Comma(int64(row.Runs[0].Tokens)) + " tokens" }))
	same(run(func(row Row) string { return plural(len(row.Runs), "seed") }))
	return strings.Join(parts, ", ")
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
