package usage

import (
	"os"
	"strconv"
	"strings"
)

// PeakMemory is the most memory that the process has had resident, in bytes; 0 if the system does not say.
func PeakMemory() uint64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, _ := strings.Cut(string(status), "\nVmHWM:")
	kib, _, _ := strings.Cut(strings.TrimSpace(after), " kB")
	n, _ := strconv.ParseUint(kib, 10, 64)
	return n << 10
}
