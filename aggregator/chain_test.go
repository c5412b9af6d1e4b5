package aggregator_test

import (
	"errors"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
)

// q = ⌊(n+f)/2⌋+1 with f = ⌊(n−1)/3⌋: any two quorums share a member that is not faulty.
func TestQuorum(t *testing.T) {
	for i, want := range []int{1, 2, 2, 3, 4, 4, 5} {
		m := Manifest{Committee: make([]PeerID, i+1)}
		if got := m.Quorum(); got != want {
			t.Errorf("committee of %d: quorum %d, want %d", i+1, got, want)
		}
		if n, f := i+1, i/3; 2*want-n <= f || want > n-f && n != 2 {
			t.Errorf("committee of %d: two quorums of %d share no honest member, or %d faulty members stop it", n, want, f)
		}
	}
}

// second brings a run to its second round: three workers, of which slot 2 missed the first round, and a fourth that joins.
func second(t *testing.T) (*crowd, func() *Chain, Body) {
	t.Helper()
	c := newCrowd(1, 4, 4, Schedule{Every: 2, Fragments: 2, Delay: 1, Steps: 4})
	certs := []*Certificate{c.genesis(3)}
	r := c.machine(3)
	for n := Seq(1); ; n++ {
		for i := range 3 {
			if n == 1 || i < 2 {
				if err := r.Offer(c.offer(i, n)); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n == 2 {
			r.Join(c.peers[3].ID)
			r.Announce(Announcement{Seq: 1, CID: "bafy"})
			r.Elapse(1000)
		}
		body, due := r.Next()
		if !due {
			t.Fatalf("round %d is not due", n)
		}
		if n == 2 {
			return c, func() *Chain {
				chain := NewChain(&c.manifest)
				for _, cert := range certs {
					if err := chain.Add(cert); err != nil {
						t.Fatal(err)
					}
				}
				return chain
			}, body
		}
		cert := c.certify(&body)
		certs = append(certs, cert)
		if err := r.Committed(cert); err != nil {
			t.Fatal(err)
		}
	}
}

// Whatever a quorum signs, a body that breaks a rule is refused.
func TestChainRefuses(t *testing.T) {
	c, chain, good := second(t)
	if err := chain().Add(c.certify(&good)); err != nil {
		t.Fatal(err)
	}
	resign := func(b *Body, i int, change func(*Header)) {
		h := b.List[i].Header
		change(&h)
		b.List[i].SignedHeader = c.peers[i].SignHeader(h)
	}
	for name, spoil := range map[string]func(*Body){
		"run":             func(b *Body) { b.Run[0]++ },
		"number":          func(b *Body) { b.Seq++ },
		"previous":        func(b *Body) { b.Previous[0]++ },
		"kind":            func(b *Body) { b.Kind = 9 },
		"genesis again":   func(b *Body) { b.Kind = Genesis },
		"closing early":   func(b *Body) { b.Kind, b.List, b.Joined, b.Left = Closing, nil, nil, nil },
		"fragment":        func(b *Body) { b.Key.Fragment++ },
		"departure":       func(b *Body) { b.Key.Departure++ },
		"base":            func(b *Body) { b.Base++ },
		"root":            func(b *Body) { b.BaseRoot[0]++ },
		"cursor":          func(b *Body) { b.Cursor++ },
		"beacon":          func(b *Body) { b.Beacon[0]++ },
		"weight":          func(b *Body) { b.List[0].Weight-- },
		"other slot":      func(b *Body) { b.List[0].Slot = 2 },
		"no roster":       func(b *Body) { b.List[1].Slot, b.List[1].SignedHeader = 3, c.offer(3, 2) },
		"order":           func(b *Body) { slices.Reverse(b.List) },
		"counted twice":   func(b *Body) { b.List = append(b.List[:1:1], b.List...) },
		"forged header":   func(b *Body) { b.List[0].Loss++ },
		"other round":     func(b *Body) { b.List[0].SignedHeader = c.offer(0, 1) },
		"other run":       func(b *Body) { resign(b, 0, func(h *Header) { h.Run[0]++ }) },
		"stale":           func(b *Body) { resign(b, 0, func(h *Header) { h.Base++ }) },
		"diverged":        func(b *Body) { resign(b, 0, func(h *Header) { h.BaseRoot[0]++ }) },
		"no tokens":       func(b *Body) { resign(b, 0, func(h *Header) { h.Tokens = 0 }); b.List[0].Weight = 0 },
		"empty with root": func(b *Body) { b.List = nil },
		"leaves twice":    func(b *Body) { b.Left = append(b.Left, b.Left...) },
		"unknown leaves":  func(b *Body) { b.Left = append(b.Left, 8) },
		"slot skipped":    func(b *Body) { b.Joined[0].Slot++ },
		"slot taken":      func(b *Body) { b.Joined[0].Slot-- },
		"joins twice":     func(b *Body) { b.Joined = append(b.Joined, b.Joined...) },
		"is in already":   func(b *Body) { b.Joined[0] = Admitted{Slot: 0, Peer: c.peers[0].ID} },
		"unsorted joins":  func(b *Body) { b.Joined = append(b.Joined, Admitted{Slot: 2, Peer: c.peers[2].ID}) },
		"news of itself":  func(b *Body) { b.Announce.Seq = 2 },
		"news of nothing": func(b *Body) { b.Announce.CID = "" },
	} {
		t.Run(name, func(t *testing.T) {
			b := good
			b.List, b.Joined, b.Left = slices.Clone(b.List), slices.Clone(b.Joined), slices.Clone(b.Left)
			spoil(&b)
			if name != "beacon" {
				b.Beacon = BeaconAfter(chain().Tip(), &b)
			}
			ch := chain()
			if err := ch.Add(c.certify(&b)); !errors.Is(err, ErrInvalid) {
				t.Errorf("the chain answers %v", err)
			}
			if err := ch.Add(c.certify(&good)); err != nil {
				t.Errorf("after the bad body it refuses the good one: %v", err)
			}
		})
	}
}

// Only a quorum of different members makes a certificate.
func TestChainCountsSignatures(t *testing.T) {
	c, chain, body := second(t)
	whole := c.certify(&body).Signatures
	stranger := Endorsement{Member: 3, Signature: c.peers[0].SignBody(3, &body).Signature}
	for name, signatures := range map[string][]Endorsement{
		"none":     nil,
		"too few":  whole[:2],
		"repeated": {whole[0], whole[1], whole[1]},
		"one more": append(whole[:3:3], whole[2]),
		"unknown":  append(whole[:2:2], Endorsement{Member: 4, Signature: whole[2].Signature}),
		"stranger": append(whole[:2:2], stranger),
		"swapped":  append(whole[:2:2], Endorsement{Member: 3, Signature: whole[2].Signature}),
		"one bad":  append(whole[:3:3], stranger),
	} {
		if err := chain().Add(&Certificate{Body: body, Signatures: signatures}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: the chain answers %v", name, err)
		}
	}
	if err := chain().Add(&Certificate{Body: body, Signatures: append(whole, c.committee[3].SignBody(3, &body))}); err != nil {
		t.Errorf("all four signatures: %v", err)
	}
}

// The largest round that the rules allow fits into a certificate.
func TestLargestRoundFits(t *testing.T) {
	b := Body{Kind: Round, List: make([]Included, MaxRoster), Joined: make([]Admitted, MaxRoster), Left: make([]Slot, MaxRoster), Announce: Announcement{CID: string(make([]byte, 128))}}
	full := Certificate{Body: b, Signatures: make([]Endorsement, 7)}
	p := full.Encode()
	if len(p) > MaxCertificateSize {
		t.Fatalf("%d bytes, %d allowed", len(p), MaxCertificateSize)
	}
	m := Manifest{Schedule: Schedule{Every: 1, Fragments: 1, Steps: 1}}
	crowd := make([]PeerID, MaxRoster+1)
	for i := range crowd {
		crowd[i] = PeerID{byte(i), byte(i >> 8)}
	}
	genesis := m.Genesis(crowd)
	if err := NewChain(&m).CheckBody(&genesis); !errors.Is(err, ErrInvalid) {
		t.Errorf("a roster above the limit: %v", err)
	}
	genesis = m.Genesis(crowd[:MaxRoster])
	if err := NewChain(&m).CheckBody(&genesis); err != nil {
		t.Errorf("a roster at the limit: %v", err)
	}
}
