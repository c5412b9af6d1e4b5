//go:build race

package trainer

// raced says that the race detector is on: sync.Pool then drops what it is given now and then.
const raced = true
