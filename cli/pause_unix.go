//go:build unix

package cli

import (
	"os"
	"os/signal"
	"syscall"
)

// pauseHelp says how to pause by hand.
const pauseHelp = "kill -USR1 PID pauses, kill -USR2 PID resumes."

// pauseSignals sends true when the process is told to pause, and false when it is told to go on.
func pauseSignals() (<-chan bool, func()) {
	heard, out, end := make(chan os.Signal, 4), make(chan bool), make(chan struct{})
	signal.Notify(heard, syscall.SIGUSR1, syscall.SIGUSR2)
	go func() {
		for {
			select {
			case s := <-heard:
				select {
				case out <- s == syscall.SIGUSR1:
				case <-end:
					return
				}
			case <-end:
				return
			}
		}
	}()
	return out, func() { signal.Stop(heard); close(end) }
}
