//go:build !linux

package cudatest

import (
	"errors"
	"testing"
)

func build() (string, error) { return "", errors.New("it is made for Linux") }

// Setenv sets a variable for the fake driver.
func Setenv(t testing.TB, name, value string) {
	t.Helper()
	t.Setenv(name, value)
}
