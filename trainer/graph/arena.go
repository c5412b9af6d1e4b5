package graph

import "github.com/skein-train/skein/trainer/engine"

// Arena is the working memory that the programs of one replica share.
type Arena struct {
	engine engine.Engine
	buf    engine.Buf
}

// NewArena is empty; programs that are built over it make it as large as they need.
func NewArena(e engine.Engine) *Arena { return &Arena{engine: e} }

// take returns the first n elements. Memory that is too small is left to the programs that have it.
func (a *Arena) take(n int) engine.Buf {
	if n > a.buf.Len {
		a.buf = a.engine.Alloc(n)
	}
	return a.buf.Slice(0, n)
}
