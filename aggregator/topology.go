package aggregator

import (
	"crypto/sha256"
	"encoding/binary"
	"slices"
)

// Topology says whose contributions a worker reads, and so whose payloads have to reach it.
type Topology string

const (
	// All is everybody's.
	All Topology = "all"
	// Pair is one other worker's, and that one reads this one's: who, is drawn anew for every round by the beacon of the one before, so that
	// nobody can choose. The last round is everybody's.
	Pair Topology = "pair"
)

// Paired says whether workers exchange round n by twos.
func (m *Manifest) Paired(n Seq) bool { return m.Topology == Pair && n < m.Schedule.Rounds() }

// Pairs shuffles a roster by a beacon and cuts it into twos. With an odd number the last one stays alone.
func Pairs(beacon [32]byte, roster []Slot) [][]Slot {
	lots, order := map[Slot]Hash{}, slices.Clone(roster)
	for _, s := range roster {
		lots[s] = lot(pairsDomain, beacon, s)
	}
	slices.SortFunc(order, func(a, b Slot) int {
		x, y := lots[a], lots[b]
		return slices.Compare(x[:], y[:])
	})
	return slices.Collect(slices.Chunk(order, 2))
}

// What slots draw lots for.
const (
	pairsDomain = "skein/pairs/1\x00"
	placeDomain = "skein/place/1\x00"
)

// lot is the number that a slot draws.
func lot(domain string, beacon [32]byte, s Slot) Hash {
	b := append([]byte(domain), beacon[:]...)
	return sha256.Sum256(binary.LittleEndian.AppendUint64(b, uint64(s)))
}

// meetings says who exchanges the round after the tip with whom; nil if everybody does with everybody.
func (c *Chain) meetings() map[PeerID]PeerID {
	if !c.manifest.Paired(c.next()) {
		return nil
	}
	peers, out := map[Slot]PeerID{}, map[PeerID]PeerID{}
	for _, a := range c.roster.active {
		peers[a.Slot] = a.Peer
	}
	for _, two := range Pairs(c.tip.Beacon, c.roster.Slots()) {
		if len(two) == 2 {
			a, b := peers[two[0]], peers[two[1]]
			out[a], out[b] = b, a
		}
	}
	return out
}

// Partner is the worker with which another one exchanges the round after the tip, if that is a round of pairs and it has one.
func (c *Chain) Partner(p PeerID) (PeerID, bool) {
	q, ok := c.partners[p]
	return q, ok
}

// Reads says whether a worker reads another one's contribution to the round after the tip, or its own.
func (c *Chain) Reads(reader, author PeerID) bool {
	return !c.manifest.Paired(c.next()) || reader == author || c.partners[reader] == author
}
