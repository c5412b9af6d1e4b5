package cli

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// record is one line of metrics.jsonl: one round. Counters count from the start of the run, across resumes.
type record struct {
	Round          uint64   `json:"outer/round"`
	Step           uint64   `json:"step"`
	WallS          float64  `json:"wall_s"`
	TrainLoss      float64  `json:"train/loss"` // nats per token, weighted mean of the counted workers
	LR             float64  `json:"train/lr"`
	Tokens         uint64   `json:"train/tokens"`
	TokensPerSec   float64  `json:"train/tokens_per_sec"`
	EvalLoss       *float64 `json:"eval/loss,omitempty"`
	OuterLR        float64  `json:"outer/lr"`
	PseudogradNorm float64  `json:"outer/pseudograd_norm"`
	CosineMean     *float64 `json:"outer/cosine_mean,omitempty"` // mean cosine between the pseudo-gradients that a worker merges, if there are two
	BytesSent      uint64   `json:"comm/bytes_sent"`             // mean of the local workers, from their sockets
	BytesRecv      uint64   `json:"comm/bytes_recv"`
	SeatSent       uint64   `json:"comm/committee_bytes_sent"`
	SeatRecv       uint64   `json:"comm/committee_bytes_recv"`
	PayloadBytes   uint64   `json:"comm/payload_bytes"` // of one contribution, mean
	BitsPerParam   float64  `json:"comm/bits_per_param"`
	WaitS          float64  `json:"comm/wait_s"` // what the reporting worker waited for the others in this round
	PeersActive    int      `json:"peers/active"`
	Root           string   `json:"root"` // of the shared state before this round
	Checkpoint     string   `json:"checkpoint,omitempty"`
}

// metricsFile appends records to metrics.jsonl.
type metricsFile struct{ f *os.File }

// openMetrics opens the file to append to and returns the last record in it. A last line that a crash cut short is dropped.
func openMetrics(path string) (*metricsFile, record, error) {
	var last record
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, last, err
	}
	whole := bytes.LastIndexByte(old, '\n') + 1
	lines := bytes.Split(bytes.TrimSuffix(old[:whole], []byte("\n")), []byte("\n"))
	if end := lines[len(lines)-1]; len(end) > 0 {
		if err := json.Unmarshal(end, &last); err != nil {
			return nil, last, fmt.Errorf("%s: line %d: %w", path, len(lines), err)
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, last, err
	}
	_, err = f.Seek(int64(whole), io.SeekStart)
	if err = errors.Join(err, f.Truncate(int64(whole))); err != nil {
		f.Close()
		return nil, last, fmt.Errorf("%s: %w", path, err)
	}
	return &metricsFile{f}, last, nil
}

func (m *metricsFile) append(r record) error {
	b, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("metrics: round %d: %w", r.Round, err)
	}
	_, err = m.f.Write(append(b, '\n'))
	return err
}

func (m *metricsFile) close() error { return m.f.Close() }

// readMetrics reads all records of a run.
func readMetrics(path string) ([]record, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []record
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		var r record
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			return out, fmt.Errorf("%s: line %d: %w", path, len(out)+1, err)
		}
		out = append(out, r)
	}
	return out, nil
}
