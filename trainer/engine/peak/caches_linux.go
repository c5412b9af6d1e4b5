package peak

import (
	"fmt"
	"os"
	"path/filepath"
)

// largestCache is in bytes, as the system tells it; 0 if it does not.
func largestCache() (largest int) {
	files, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*/size")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		var kib int
		if n, _ := fmt.Sscanf(string(text), "%dK", &kib); n == 1 {
			largest = max(largest, kib<<10)
		}
	}
	return largest
}
