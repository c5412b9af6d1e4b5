package aggregator

import "github.com/skein-train/skein/gradients"

// Eager overlaps a whole round's exchange with the next round's steps and never waits for its own work: a worker merges the others'
// pseudo-gradients of the round before with its own newest one (Kale, Douillard & Donchev 2025, arXiv 2502.12996, algorithm 2).
// Anchors therefore differ from worker to worker. Its schedule has Delay = Every.
func Eager(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error), lr, momentum float32) Method {
	m := DiLoCo(codec, lr, momentum, 0, 0)
	m.Name, m.Private, m.Fresh = "eager", true, true
	return m
}
