// Package usage says what this process has taken of its machine so far.
package usage
