package engine

// Waiter is an Engine whose calls queue work and return before it is done.
type Waiter interface {
	// Wait returns when all of it is done.
	Wait()
}

// Wait ends what e has queued, so that a clock can be read; other engines have nothing queued.
func Wait(e Engine) {
	if w, ok := e.(Waiter); ok {
		w.Wait()
	}
}
