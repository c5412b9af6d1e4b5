//go:build race

// Package racetest tells tests whether the race detector is on. It makes arithmetic ten times as slow, and sync.Pool drop what it is
// given now and then.
package racetest

// Enabled says that the race detector is on.
const Enabled = true
