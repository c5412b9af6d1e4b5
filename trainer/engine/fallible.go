package engine

// Fallible is an Engine whose device can fail at any time: it runs out of memory, or is lost. The calls of an Engine return
// no errors, as they only queue work; after the first failure they do nothing, and Download gives NaN.
type Fallible interface {
	// Err is the first failure, nil if there was none. What still waits to be done may yet fail: a Download ends the wait.
	Err() error
}

// Err is what e has failed with; engines that are not Fallible do not fail.
func Err(e Engine) error {
	if f, ok := e.(Fallible); ok {
		return f.Err()
	}
	return nil
}
