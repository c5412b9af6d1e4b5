//go:build !unix

package usage

import "time"

// CPU is the processor time of all threads; 0: these systems are not asked.
func CPU() time.Duration { return 0 }
