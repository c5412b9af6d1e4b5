package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

// Record is a line of the index. Loss is the validation loss if there is one, in nats per token.
type Record struct {
	Seq  aggregator.Seq `json:"seq"`
	Step uint64         `json:"step"`
	CID  string         `json:"cid"`
	Loss *float64       `json:"loss,omitempty"`
	Time time.Time      `json:"time"`
}

// Index lists a run's checkpoints, old ones too, as JSON lines in a file that can be read while the run is going on.
// One goroutine writes it.
type Index struct{ path string }

// OpenIndex names the file; the first Add creates it.
func OpenIndex(path string) *Index { return &Index{path: path} }

// Add lists a checkpoint. A round that is published again, after a resume say, replaces its old line and those behind it:
// the run has gone another way from there.
func (x *Index) Add(r Record) error {
	old, err := x.Records()
	if err != nil {
		return err
	}
	old = slices.DeleteFunc(old, func(o Record) bool { return o.Seq >= r.Seq })
	var b bytes.Buffer
	for _, r := range append(old, r) {
		line, err := json.Marshal(r)
		if err != nil {
			return fmt.Errorf("checkpoint index: %w", err)
		}
		b.Write(append(line, '\n'))
	}
	if err := durable.WriteFile(x.path, 0o644, durable.Name, b.Bytes()); err != nil {
		return fmt.Errorf("checkpoint index: %w", err)
	}
	return nil
}

// Records lists the checkpoints in the order of their rounds; none if there is no file.
func (x *Index) Records() ([]Record, error) {
	b, err := os.ReadFile(x.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("checkpoint index: %w", err)
	}
	var out []Record
	for i, line := range bytes.Split(bytes.TrimSuffix(b, []byte("\n")), []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		var r Record
		if err := json.Unmarshal(line, &r); err != nil {
			return nil, fmt.Errorf("checkpoint index %s, line %d: %w", x.path, i+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}
