//go:build unix

package usage

import (
	"syscall"
	"time"
)

// CPU is the processor time of all threads; 0 if the system does not say.
func CPU() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
