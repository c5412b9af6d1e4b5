package aggregator_test

import (
	"crypto/sha256"
	"fmt"

	. "github.com/skein-train/skein/aggregator"
)

// crowd is everybody who has a key in a made-up run: a committee and peers that may become workers. Another salt gives
// the same run with other keys.
type crowd struct {
	manifest  Manifest
	committee []Signer
	peers     []Signer
}

func newCrowd(salt byte, committee, peers int, s Schedule) *crowd {
	c := &crowd{}
	key := func(role byte, i int) Signer { return NewSigner([32]byte{salt, role, byte(i)}) }
	var ids []PeerID
	for i := range committee {
		c.committee = append(c.committee, key(1, i))
		ids = append(ids, c.committee[i].ID)
	}
	for i := range peers {
		c.peers = append(c.peers, key(2, i))
	}
	c.manifest = key(0, 0).SignManifest(Manifest{
		Name: "crowd", Seed: 7, Committee: ids, Method: "diloco", Codec: "f32", Topology: All, Schedule: s, Parameters: 1, FirstRoot: root(0),
		BatchSize: 2, SeqLen: 8, Sequences: 100, MinPeers: 1, Deadline: 1000,
	}).Manifest
	return c
}

func (c *crowd) ids(n int) (out []PeerID) {
	for _, p := range c.peers[:n] {
		out = append(out, p.ID)
	}
	return out
}

// header is what peer i offers for round n if it does everything right.
func (c *crowd) header(i int, n Seq) Header {
	s := c.manifest.Schedule
	return Header{
		Run: c.manifest.Hash(), Worker: c.peers[i].ID, Key: s.Key(n), Base: s.Base(n), BaseRoot: root(s.Base(n)),
		Tokens: s.Stride() * c.manifest.BatchSize * c.manifest.SeqLen, Loss: 2.5, Payload: sha256.Sum256(fmt.Append(nil, "payload", i, n)), Size: 100, Class: 1,
	}
}

func (c *crowd) offer(i int, n Seq) SignedHeader { return c.peers[i].SignHeader(c.header(i, n)) }

// certify signs a body by the first q members.
func (c *crowd) certify(b *Body) *Certificate {
	cert := &Certificate{Body: *b}
	for i := range c.manifest.Quorum() {
		cert.Signatures = append(cert.Signatures, c.committee[i].SignBody(uint8(i), b))
	}
	return cert
}

// genesis is the first certificate, over the first n peers.
func (c *crowd) genesis(n int) *Certificate {
	b := c.manifest.Genesis(c.ids(n))
	return c.certify(&b)
}

// machine is a round machine behind the genesis over the first n peers.
func (c *crowd) machine(n int) *Rounds {
	r := NewRounds(NewChain(&c.manifest))
	if err := r.Committed(c.genesis(n)); err != nil {
		panic(err)
	}
	return r
}

// root is the made-up root of the shared state after round n.
func root(n Seq) Hash { return sha256.Sum256(fmt.Append(nil, "root", n)) }
