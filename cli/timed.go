package cli

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/skein-train/skein/aggregator"
)

// timed is an Exchange that keeps count of the time spent waiting in it.
type timed struct {
	aggregator.Exchange
	waited atomic.Int64 // nanoseconds
}

// Next implements aggregator.Exchange.
func (t *timed) Next(ctx context.Context, after aggregator.Seq) (*aggregator.Certificate, error) {
	start := time.Now()
	defer func() { t.waited.Add(int64(time.Since(start))) }()
	return t.Exchange.Next(ctx, after)
}

// take returns the time waited since the last take.
func (t *timed) take() time.Duration { return time.Duration(t.waited.Swap(0)) }
