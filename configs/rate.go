package configs

import (
	"fmt"
	"math"
	"strings"

	"github.com/dustin/go-humanize"
)

// Rate is a number of bytes per second; 0 means no limit.
type Rate uint64

// parseRate reads "0", "10MB/s" or "1.5 MiB". A number without its unit is refused: bits and bytes are too easily confused.
func parseRate(s string) (Rate, error) {
	if s == "0" {
		return 0, nil
	}
	amount := strings.TrimSuffix(s, "/s")
	if strings.TrimLeft(amount, "0123456789._") == "" {
		return 0, fmt.Errorf("%s has no unit: write %sB/s, or kB/s, MB/s, MiB/s", s, s)
	}
	n, err := humanize.ParseBytes(amount)
	if err != nil || n > math.MaxInt64 {
		return 0, fmt.Errorf("want bytes per second such as 10MB/s, or 0 for no limit; got %q", s)
	}
	return Rate(n), nil
}

// String is exact, so that a resolved run file gives back the same rate.
func (r Rate) String() string {
	if r == 0 {
		return "0"
	}
	return fmt.Sprintf("%dB/s", uint64(r))
}

// Set reads a rate from a command line's flag.
func (r *Rate) Set(text string) error {
	v, err := parseRate(text)
	if err == nil {
		*r = v
	}
	return err
}

// Type names the type in a command line's help.
func (r *Rate) Type() string { return "rate" }
