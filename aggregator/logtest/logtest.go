// Package logtest is the suite that every aggregator.Log must pass.
package logtest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// Run tests the logs that open makes. Each must be empty at first; the suite does not close them.
func Run(t *testing.T, open func(t *testing.T) aggregator.Log) {
	t.Run("EmptyLogHasNoEntries", func(t *testing.T) { wantLast(t, open(t), 0) })
	t.Run("EntriesComeBack", func(t *testing.T) { entriesComeBack(t, open(t)) })
	t.Run("FirstWins", func(t *testing.T) { firstWins(t, open(t)) })
	t.Run("NoGaps", func(t *testing.T) { noGaps(t, open(t)) })
	t.Run("ReadWaits", func(t *testing.T) { readWaits(t, open(t)) })
	t.Run("ReadGivesUp", func(t *testing.T) { readGivesUp(t, open(t)) })
	t.Run("OneOfManyWins", func(t *testing.T) { oneOfManyWins(t, open(t)) })
}

// decision is an entry that differs with n.
func decision(n byte) aggregator.Entry {
	return aggregator.Entry{Decide: &aggregator.Body{Kind: aggregator.Round, Seq: aggregator.Seq(n), Cursor: uint64(n)}}
}

// final is a certificate entry that differs with n.
func final(n byte) aggregator.Entry {
	return aggregator.Entry{Final: &aggregator.Certificate{
		Body: *decision(n).Decide, Signatures: []aggregator.Endorsement{{Signature: aggregator.Signature{n}}},
	}}
}

func equal(a, b aggregator.Entry) bool { return string(a.Encode()) == string(b.Encode()) }

func wantLast(t *testing.T, l aggregator.Log, want uint64) {
	t.Helper()
	if n, err := l.Last(); n != want || err != nil {
		t.Errorf("last entry %d, %v; want %d", n, err, want)
	}
}

func wantEntry(t *testing.T, l aggregator.Log, i uint64, want aggregator.Entry) {
	t.Helper()
	if e, err := l.Read(t.Context(), i); err != nil || !equal(e, want) {
		t.Errorf("entry %d reads as %+v, %v", i, e, err)
	}
}

func entriesComeBack(t *testing.T, l aggregator.Log) {
	all := []aggregator.Entry{decision(1), final(1), decision(2)}
	for i, e := range all {
		if err := l.Append(t.Context(), uint64(i+1), e); err != nil {
			t.Fatal(err)
		}
	}
	wantLast(t, l, 3)
	for i, e := range all {
		wantEntry(t, l, uint64(i+1), e)
	}
}

func firstWins(t *testing.T, l aggregator.Log) {
	if err := l.Append(t.Context(), 1, decision(1)); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(t.Context(), 1, decision(1)); err != nil {
		t.Errorf("the same entry again: %v", err)
	}
	if err := l.Append(t.Context(), 1, decision(2)); !errors.Is(err, aggregator.ErrTaken) {
		t.Errorf("another entry in a taken place: %v, want ErrTaken", err)
	}
	wantLast(t, l, 1)
	wantEntry(t, l, 1, decision(1))
}

func noGaps(t *testing.T, l aggregator.Log) {
	for _, i := range []uint64{0, 2, 1 << 40} {
		if err := l.Append(t.Context(), i, decision(1)); err == nil || errors.Is(err, aggregator.ErrTaken) {
			t.Errorf("entry %d of an empty log: %v, want an error about the gap", i, err)
		}
	}
	wantLast(t, l, 0)
}

func readWaits(t *testing.T, l aggregator.Log) {
	got := make(chan aggregator.Entry)
	go func() {
		e, err := l.Read(t.Context(), 1)
		if err != nil {
			t.Error(err)
		}
		got <- e
	}()
	if err := l.Append(t.Context(), 1, decision(7)); err != nil {
		t.Fatal(err)
	}
	if e := <-got; !equal(e, decision(7)) {
		t.Errorf("read %+v", e)
	}
}

func readGivesUp(t *testing.T, l aggregator.Log) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.Read(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("reading what never comes: %v", err)
	}
}

func oneOfManyWins(t *testing.T, l aggregator.Log) {
	const n = 8
	errs := make(chan error, n)
	for i := range byte(n) {
		go func() { errs <- l.Append(t.Context(), 1, decision(i)) }()
	}
	won := 0
	for range n {
		if err := <-errs; err == nil {
			won++
		} else if !errors.Is(err, aggregator.ErrTaken) {
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d appends of different entries to one place succeeded", won)
	}
	wantLast(t, l, 1)
}
