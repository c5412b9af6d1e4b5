// Package swarm carries a run between machines: a libp2p host with real sockets, gossipsub for everything small, parts
// pulled through gossipsub's partial messages for payloads, and direct streams for whatever got lost on the way.
//
// A Node is one peer: it keeps the log of certificates and the payloads on disk and checks all that comes in before any
// of it is passed on. An Exchange on top of a Node is a worker's port (aggregator.Exchange); a Committee on top of a
// Node is the aggregator role. The bytes are in docs/wire.md, "Swarm messages".
package swarm
