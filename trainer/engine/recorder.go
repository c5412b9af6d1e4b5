package engine

// Recorder is an Engine that can make many calls at once, at the cost of one.
type Recorder interface {
	// Record takes down the calls that run makes, on this engine and by kernels only, in place of making them. replay makes them
	// with the same arguments: they read what is in the buffers by then. Calls of the same arguments must have been made before,
	// as the first ones may take memory.
	Record(run func() error) (replay func(), err error)
}
