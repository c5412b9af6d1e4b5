package logtest_test

import (
	"testing"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/aggregator/logtest"
)

func TestMemoryLog(t *testing.T) {
	logtest.Run(t, func(*testing.T) aggregator.Log { return aggregator.NewMemoryLog() })
}
