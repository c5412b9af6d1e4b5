//go:build !linux

package usage

// PeakMemory is the most memory that the process has had resident, in bytes; 0: these systems are not asked.
func PeakMemory() uint64 { return 0 }
