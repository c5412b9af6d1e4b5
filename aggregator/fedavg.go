package aggregator

import "github.com/skein-train/skein/gradients"

// FedAvg averages the workers' parameters after every H inner steps (McMahan et al. 2017, arXiv 1602.05629, algorithm 1; Stich
// 2019, arXiv 1805.09767, calls it local SGD). It is DiLoCo with an outer learning rate of 1 and no momentum.
func FedAvg(codec func(gradients.Layout, gradients.Fragment) (gradients.Codec, error)) Method {
	m := DiLoCo(codec, 1, 0, 0, 0)
	m.Name = "fedavg"
	return m
}
