//go:build !unix

package cli

// pauseHelp says how to pause by hand.
const pauseHelp = "Ctrl+C leaves, and the same command comes back: there are no signals to pause by on this system."

// pauseSignals never says anything where there are no such signals.
func pauseSignals() (<-chan bool, func()) { return nil, func() {} }
