//go:build !linux

package cudatest

import (
	"fmt"
	"testing"
)

func build() (string, error) { return "", fmt.Errorf("%w: it is made for Linux", errUnable) }

func buildProducts() (string, error) { return build() }

// Setenv sets a variable for the fake driver.
func Setenv(t testing.TB, name, value string) {
	t.Helper()
	t.Setenv(name, value)
}
