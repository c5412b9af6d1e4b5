package cuda

// Record captures what run queues as a graph of the driver: launching it costs about as much as launching one kernel.
func (e *Engine) Record(run func() error) (replay func(), err error) {
	if e.err != nil {
		return nil, e.err
	}
	before := e.stats
	g, err := e.stream.Capture(func() error {
		if err := run(); err != nil {
			return err
		}
		return e.err
	})
	e.stats.Launches, e.stats.Products = before.Launches, before.Products // nothing was done yet
	if err != nil {
		e.fail(err)
		return nil, err
	}
	e.graphs = append(e.graphs, g)
	return func() {
		if e.err == nil {
			e.stats.Replays++
			e.fail(g.Launch(e.stream))
		}
	}, nil
}
