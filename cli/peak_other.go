//go:build !linux

package cli

// peakMemory is the most memory that this process has had resident, in bytes; 0: these systems are not asked.
func peakMemory() uint64 { return 0 }
