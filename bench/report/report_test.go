package report

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"errors"
	"flag"
	"image/png"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/skein-train/skein/bench"
)

var update = flag.Bool("update", false, "write the golden files anew")

// outcomes are runs that a person can check: losses that are multiples of the baseline's with the same seed, 200 steps of 1,000 parameters.
func outcomes(seeds int) (out []bench.Outcome) {
	for i, cell := range []struct {
		name, method, codec string
		every, bytes        int64 // of a contribution
		times               float64
	}{
		{"DiLoCo f32", "diloco", "f32", 20, 4000, 1.02},
		{"DDP", "ddp", "bf16", 1, 2000, 1},
		{"DiLoCo e3m0", "diloco", "e3m0", 20, 500, 1.021},
		{"SparseLoCo <2bit>", "sparseloco", "topk:64/4096+2bit", 20, 20, 1.05},
	} {
		for seed := range seeds {
			noise := 1 + 0.001*float64((seed*7+i*3)%5-2)
			o := bench.Outcome{Cell: cell.name, Seed: uint64(seed), Method: cell.method, Codec: cell.codec, Workers: 4, Every: uint64(cell.every),
				Params: 1000, Steps: 200, Tokens: 800_000, ValLoss: (2 + 0.01*float64(seed)) * cell.times * noise, Seconds: 1}
			for r := int64(1); r <= 200/cell.every; r++ {
				step := r * cell.every
				o.Payload += cell.bytes
				p := bench.Point{Round: uint64(r), Step: uint64(step), Tokens: uint64(4000 * step), Payload: o.Payload, Loss: o.ValLoss + 3*math.Exp(-float64(step)/30)}
				if step%20 == 0 {
					p.Val = new(float64)
					*p.Val = p.Loss + 0.01
				}
				o.Points, o.Cosine = append(o.Points, p), append(o.Cosine, 0.5)
			}
			for _, b := range []float64{1e6, 1e9} {
				sending := time.Duration(float64(o.Payload) * 4e5 / b * float64(time.Second))
				o.Roads = append(o.Roads, bench.Road{Bandwidth: b, Time: 20*time.Second + sending, Utilisation: 20 / (20 + sending.Seconds()), Sent: 4 * o.Payload})
			}
			out = append(out, o)
		}
	}
	return out
}

func made(t *testing.T, outcomes []bench.Outcome) *Report {
	t.Helper()
	r, err := New("small", "DDP", outcomes)
	if err != nil {
		t.Fatal(err)
	}
	r.Expect, r.Commands = "DDP is the best & costs the most.", []string{"skein bench small.yaml"}
	return r
}

// golden compares with a file in testdata; -update writes it.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew):\n%s", name, got)
	}
}

func TestTable(t *testing.T) {
	for name, seeds := range map[string]int{"table-1.txt": 1, "table-3.txt": 3} {
		var b bytes.Buffer
		if err := made(t, outcomes(seeds)).Print(&b); err != nil {
			t.Fatal(err)
		}
		golden(t, name, b.Bytes())
	}
}

func TestFindings(t *testing.T) {
	list := outcomes(3)
	list[0].Error, list[0].ValLoss = "the validation loss is no number", 0
	golden(t, "findings.txt", []byte(strings.Join(made(t, list).Findings(), "\n")+"\n"))
}

// Several baselines: each before those that are compared with it.
func TestEachCellHasItsBaseline(t *testing.T) {
	list := outcomes(2)
	for i := range list {
		long := list[i]
		long.Against, list[i].Against = "long DDP", "DDP"
		long.Cell, long.ValLoss = "long "+long.Cell, long.ValLoss*0.5
		list = append(list, long)
	}
	var order []string
	for _, row := range made(t, list).Rows {
		order = append(order, row.Cell)
		if base := row.Cell == "DDP" || row.Cell == "long DDP"; base != (row.Gap.N == 0) || !base && (row.Gap.Mean < 0.01 || row.Gap.Mean > 0.06) {
			t.Errorf("%s: gap %+v", row.Cell, row.Gap)
		}
	}
	want := []string{"DDP", "DiLoCo f32", "DiLoCo e3m0", "SparseLoCo <2bit>", "long DDP", "long DiLoCo f32", "long DiLoCo e3m0", "long SparseLoCo <2bit>"}
	if !slices.Equal(order, want) {
		t.Errorf("%q", order)
	}
	list[0].Against = "DiLoCo e3m0" // which is compared with another itself
	if _, err := New("chain", "DDP", list); err == nil {
		t.Error("a baseline that has a baseline was accepted")
	}
}

func TestCSV(t *testing.T) {
	b, err := made(t, outcomes(2)).CSV()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "bench.csv", b)
	lines, err := csv.NewReader(bytes.NewReader(b)).ReadAll()
	if err != nil || len(lines) != 9 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	if lines[1][0] != "DDP" || lines[1][10] != "" || lines[3][10] == "" {
		t.Errorf("the baseline comes first and has no gap, others have one: %q, %q", lines[1], lines[3])
	}
}

// Three pairs: gaps of 1, 2 and 3 %. Their mean is 2 %, their standard deviation 1 %, t with two degrees of freedom 4.3027: ± 2.484 %.
func TestGapsArePaired(t *testing.T) {
	var list []bench.Outcome
	for i, loss := range []float64{2, 4, 8} {
		list = append(list, bench.Outcome{Cell: "a", Seed: uint64(i), ValLoss: loss}, bench.Outcome{Cell: "b", Seed: uint64(i), ValLoss: loss * (1 + float64(i+1)/100)})
	}
	list = append(list, bench.Outcome{Cell: "b", Seed: 77, ValLoss: 100}) // which has no partner
	slices.Reverse(list)                                                  // the order does not matter
	r, err := New("pairs", "a", list)
	if err != nil {
		t.Fatal(err)
	}
	gap := r.Rows[1].Gap
	if gap.N != 3 || math.Abs(gap.Mean-0.02) > 1e-12 || math.Abs(gap.Half-0.0248414) > 1e-6 {
		t.Errorf("gap %+v", gap)
	}
	if r.Rows[0].Gap.N != 0 {
		t.Errorf("the baseline has a gap: %+v", r.Rows[0].Gap)
	}
}

func TestOneSeedHasNoInterval(t *testing.T) {
	r := made(t, outcomes(1))
	if !math.IsNaN(r.Rows[1].Gap.Half) || r.Rows[1].Gap.N != 1 {
		t.Errorf("%+v", r.Rows[1].Gap)
	}
	if notes := r.Notes(); !strings.Contains(notes[0], "one seed, no interval") {
		t.Error(notes)
	}
}

func TestNothingToReport(t *testing.T) {
	if _, err := New("none", "", nil); err == nil {
		t.Error("no outcomes, no error")
	}
	if _, err := New("none", "b", []bench.Outcome{{Cell: "a"}}); err == nil || !strings.Contains(err.Error(), `"b"`) {
		t.Errorf("a missing baseline: %v", err)
	}
	r, err := New("broken", "", []bench.Outcome{{Cell: "a", Error: "no space"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Write(t.TempDir()); err != nil {
		t.Error(err)
	}
}

func TestFront(t *testing.T) {
	names := each(made(t, outcomes(3)).Front(), func(r Row) string { return r.Cell })
	if want := []string{"SparseLoCo <2bit>", "DiLoCo e3m0", "DiLoCo f32", "DDP"}; !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
}

// The page is well-formed, and nothing in it is somewhere else.
func TestThePageStandsAlone(t *testing.T) {
	b, err := made(t, outcomes(3)).HTML()
	if err != nil {
		t.Fatal(err)
	}
	d := xml.NewDecoder(bytes.NewReader(b))
	d.Strict, d.AutoClose, d.Entity = false, []string{"meta"}, xml.HTMLEntity
	var open []string
	pictures := 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
			if e.Name.Local == "svg" {
				pictures++
			}
			for _, a := range e.Attr {
				if a.Name.Local == "src" || a.Name.Local == "href" {
					t.Errorf("<%s %s=%q> is somewhere else", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 || pictures != 7 {
		t.Errorf("%d pictures, left open %v", pictures, open)
	}
	for _, foreign := range []string{`https?://`, `url\(`, `@import`, `<script`, `<2bit>`, `(fill|stroke):#`} {
		if found := regexp.MustCompile(foreign).FindAllString(string(b), -1); len(found) > 0 {
			t.Errorf("the page has %d of %s", len(found), foreign)
		}
	}
}

func TestWrite(t *testing.T) {
	paths, err := made(t, outcomes(2)).Write(filepath.Join(t.TempDir(), "new", "folder"))
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		switch filepath.Ext(p) {
		case ".png":
			if _, err := png.DecodeConfig(bytes.NewReader(b)); err != nil {
				t.Errorf("%s: %v", p, err)
			}
		case ".svg":
			for d := xml.NewDecoder(bytes.NewReader(b)); ; {
				if _, err := d.Token(); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatalf("%s: %v", p, err)
				}
			}
		}
	}
	if len(paths) != 2+2*7 || filepath.Base(paths[0]) != "report.html" {
		t.Errorf("%q", paths)
	}
}

// Names of points stand clear of each other and inside the picture, however close the points are.
func TestNamesKeepApart(t *testing.T) {
	heights := spread([]vg.Length{1, 1, 1, 50, 99}, 12, 0, 100)
	for i := 1; i < len(heights); i++ {
		if heights[i]-heights[i-1] < 12-1e-9 || heights[i] > 100 {
			t.Errorf("%v", heights)
		}
	}
}

func TestNumbers(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 16: "16", 0.2: "0.2", 0.0078125: "0.00781", 1234.4: "1,234", 3.14159: "3.14", 99.99: "100", 1e-6: "1.0e-06"} {
		if got := number(v); got != want {
			t.Errorf("number(%v) = %s, want %s", v, got, want)
		}
	}
	for d, want := range map[time.Duration]string{1500 * time.Millisecond: "1.5s", 200 * time.Second: "3m20s", 2 * time.Hour: "2h00m", 50 * time.Hour: "2d02h"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
	for b, want := range map[float64]string{0: "as it ran", 1e6: "1 Mbit/s", 2.5e9: "2.5 Gbit/s", 56e3: "56 kbit/s"} {
		if got := Bandwidth(b); got != want {
			t.Errorf("Bandwidth(%v) = %s, want %s", b, got, want)
		}
	}
}
