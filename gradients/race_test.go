//go:build race

package gradients_test

import "flag"

// The race detector makes arithmetic ten times as slow, and there are no goroutines here: fewer draws will do.
func init() {
	if err := flag.Set("rapid.checks", "25"); err != nil {
		panic(err)
	}
}
