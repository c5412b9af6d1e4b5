package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"golang.org/x/term"
)

// console prints what people see: whole lines for everybody, and under them, on a terminal, one line that is
// rewritten while a round is under way. Its methods may be called from any goroutine.
type console struct {
	mu     sync.Mutex
	out    io.Writer
	width  int // of the terminal; 0 if there is none
	status string
}

func newConsole(out io.Writer) *console {
	c := &console{out: out}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		c.width, _, _ = term.GetSize(int(f.Fd()))
	}
	return c
}

// line prints a line that stays.
func (c *console) line(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	fmt.Fprintf(c.out, format+"\n", args...)
	c.draw()
}

// update rewrites the status line; nothing happens where there is no terminal.
func (c *console) update(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clear()
	c.status = fmt.Sprintf(format, args...)
	c.draw()
}

// Write makes the console a place for log lines.
func (c *console) Write(p []byte) (int, error) {
	c.line("%s", strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func (c *console) clear() {
	if c.width > 0 && c.status != "" {
		fmt.Fprint(c.out, "\r\x1b[K")
	}
}

func (c *console) draw() {
	if c.width > 0 && c.status != "" {
		shown := []rune(c.status)
		fmt.Fprint(c.out, string(shown[:min(len(shown), c.width-1)]))
	}
}

// roundLine is the progress line of one round.
func roundLine(r record, rounds, steps uint64, workers int, ddp uint64, left time.Duration) string {
	var b strings.Builder
	fmt.Fprintf(&b, "round %*d/%d  step %*d/%d  loss %.3f", digits(rounds), r.Round, rounds, digits(steps), r.Step, steps, r.TrainLoss)
	if r.EvalLoss != nil {
		fmt.Fprintf(&b, "  val %.3f", *r.EvalLoss)
	}
	fmt.Fprintf(&b, "  peers %d/%d  sent %s (DDP %s)  %.1fk tok/s  left %s", r.PeersActive, workers,
		humanize.Bytes(r.BytesSent), humanize.Bytes(ddp), r.TokensPerSec/1000, clock(left))
	return b.String()
}

func digits(n uint64) int { return len(fmt.Sprint(n)) }

// clock prints a duration as people say it: 7s, 3m05s, 2h10m.
func clock(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	switch {
	case s < 60:
		return fmt.Sprintf("%ds", s)
	case s < 3600:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%dh%02dm", s/3600, s/60%60)
}
