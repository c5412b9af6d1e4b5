package bench

import (
	"math/rand/v2"
	"time"
)

// Host is a machine on the modelled network.
type Host struct {
	Up, Down float64       // bits per second; 0: no limit
	Latency  time.Duration // from this host to the middle of the network; a message takes the sum of both ends' latencies
	Jitter   time.Duration // up to which a message is late besides, evenly distributed
	Step     time.Duration // that an inner step takes
	Pace     float64       // of an asynchronous run: the part of the steps between two departures that it takes; 0: all
}

// pace is Pace as the loop asks for it.
func (h Host) pace() func(uint64) uint64 {
	if h.Pace == 0 {
		return nil
	}
	return func(steps uint64) uint64 { return uint64(h.Pace * float64(steps)) }
}

// Network carries messages. A host sends one after the other and receives one after the other, each at most at its own rate;
// a message flows through both at once. What is in between never holds anything up.
type Network struct {
	hosts    []Host
	up, down []time.Duration // until when each direction is taken
	sent     []int64         // bytes
	received []int64
	random   *rand.Rand
}

// NewNetwork is a network with nothing on its way.
func NewNetwork(hosts []Host, seed uint64) *Network {
	n := len(hosts)
	return &Network{hosts: hosts, up: make([]time.Duration, n), down: make([]time.Duration, n), sent: make([]int64, n), received: make([]int64, n),
		random: rand.New(rand.NewPCG(seed, 0x6e6574))}
}

// Send queues a message of that many bytes at a time and says when its last byte arrives.
func (n *Network) Send(from, to int, bytes int, now time.Duration) (arrives time.Duration) {
	n.sent[from] += int64(bytes)
	n.received[to] += int64(bytes)
	start := max(now, n.up[from])
	n.up[from] = start + span(bytes, n.hosts[from].Up)
	n.down[to] = max(start, n.down[to]) + span(bytes, n.hosts[to].Down)
	return max(n.up[from], n.down[to]) + n.hosts[from].Latency + n.hosts[to].Latency + n.jitter(from) + n.jitter(to)
}

// Note sends a small message, which does not queue behind payloads: it is one of many streams, and takes its share of the road at
// once. It still holds up what queues.
func (n *Network) Note(from, to int, bytes int, now time.Duration) (arrives time.Duration) {
	n.sent[from] += int64(bytes)
	n.received[to] += int64(bytes)
	up, down := span(bytes, n.hosts[from].Up), span(bytes, n.hosts[to].Down)
	n.up[from], n.down[to] = n.up[from]+up, n.down[to]+down // a dry run also sends it ahead of its time: it may not leave the road idle till then
	return now + max(up, down) + n.hosts[from].Latency + n.hosts[to].Latency + n.jitter(from) + n.jitter(to)
}

func (n *Network) jitter(host int) time.Duration {
	if n.hosts[host].Jitter == 0 {
		return 0
	}
	return time.Duration(n.random.Int64N(int64(n.hosts[host].Jitter)))
}

// span is how long bytes take at a rate.
func span(bytes int, bitsPerSecond float64) time.Duration {
	if bitsPerSecond == 0 {
		return 0
	}
	return time.Duration(8 * float64(bytes) / bitsPerSecond * float64(time.Second))
}
