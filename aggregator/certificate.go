package aggregator

import (
	"crypto/sha256"
	"fmt"

	"github.com/skein-train/skein/gradients"
)

// Kind is the kind of a certificate.
type Kind uint8

const (
	Genesis Kind = iota // seq 0: the first roster and the first reservation
	Round               // a round: who is counted, with what weight
	Closing             // the run is over; BaseRoot is the final root
)

// Included is one counted contribution.
type Included struct {
	Slot   Slot
	Weight uint64 // tokens: min(claimed, reserved)
	SignedHeader
}

// Admitted is a peer that the log gives a slot, or gives its old slot back.
type Admitted struct {
	Slot Slot
	Peer PeerID
}

// Announcement says that the state after round Seq was published as a checkpoint. Seq 0 means none.
type Announcement struct {
	Seq Seq
	CID string // at most 128 bytes
}

// valid reports whether the certificate numbered n can carry it: nothing, or a round before n with a short CID.
func (a Announcement) valid(n Seq) bool {
	return a == Announcement{} || a.Seq > 0 && a.Seq < n && a.CID != "" && len(a.CID) <= maxCID
}

// Body is what the committee signs: one entry of the log. Its bytes are in docs/wire.md, "Certificates".
type Body struct {
	Kind     Kind
	Run      Hash
	Seq      Seq
	Previous Hash          // hash of the body before; zero in the genesis
	Key      gradients.Key // the departure that this round closes
	Base     Seq           // the base that its contributions count from
	BaseRoot Hash          // root of the shared state after round Base
	List     []Included    // ascending by slot: the order of the sum
	Joined   []Admitted    // ascending by slot; in the roster from this round's landing on
	Left     []Slot        // ascending; out of the roster from this round's landing on
	Cursor   uint64        // first sequence of the data stream reserved for the period after this round's landing
	Beacon   Hash          // randomness that deals out the reservation
	Announce Announcement
}

// Endorsement is one committee member's signature of a body.
type Endorsement struct {
	Member    uint8 // index into Manifest.Committee
	Signature Signature
}

// Certificate is a body with the signatures of a quorum. The signatures are outside of the body's hash, so that
// it is the same whichever members signed.
type Certificate struct {
	Body
	Signatures []Endorsement
}

const (
	certificateMagic   = "SKC1"
	certificateVersion = 1
	certificateDomain  = "skein/certificate/1\x00"
	includedSize       = 4 + 8 + SignedHeaderSize
	admittedSize       = 4 + 32
	maxCID             = 128

	// MaxRoster bounds the workers that are active at a time.
	MaxRoster = 3 << 10

	// MaxCertificateSize bounds the wire form in bytes: room for a round in which all of MaxRoster are counted, leave
	// and are replaced.
	MaxCertificateSize = 1 << 20
)

func (b *Body) encode() []byte {
	var w writer
	w.raw([]byte(certificateMagic))
	w.u16(certificateVersion)
	w.u8(uint8(b.Kind))
	w.raw(b.Run[:])
	w.u64(uint64(b.Seq))
	w.raw(b.Previous[:])
	w.u32(uint32(b.Key.Fragment))
	w.u64(b.Key.Departure)
	w.u64(uint64(b.Base))
	w.raw(b.BaseRoot[:])
	w.u64(b.Cursor)
	w.raw(b.Beacon[:])
	w.u16(uint16(len(b.List)))
	for i := range b.List {
		w.u32(uint32(b.List[i].Slot))
		w.u64(b.List[i].Weight)
		w.raw(b.List[i].Encode())
	}
	w.u16(uint16(len(b.Joined)))
	for _, a := range b.Joined {
		w.u32(uint32(a.Slot))
		w.raw(a.Peer[:])
	}
	w.u16(uint16(len(b.Left)))
	for _, s := range b.Left {
		w.u32(uint32(s))
	}
	w.u64(uint64(b.Announce.Seq))
	w.u8(uint8(len(b.Announce.CID)))
	w.raw([]byte(b.Announce.CID))
	return w.b
}

// Hash names the certificate: SHA-256 of the body.
func (b *Body) Hash() Hash { return sha256.Sum256(b.encode()) }

// Encode returns the certificate's wire form.
func (c *Certificate) Encode() []byte {
	w := writer{c.Body.encode()}
	w.u8(uint8(len(c.Signatures)))
	for _, e := range c.Signatures {
		w.u8(e.Member)
		w.raw(e.Signature[:])
	}
	return w.b
}

// DecodeCertificate reads a certificate from hostile bytes. It checks the form; Chain.Check checks what it says.
func DecodeCertificate(p []byte) (Certificate, error) {
	var c Certificate
	if len(p) > MaxCertificateSize {
		return c, fmt.Errorf("%w: certificate of %d bytes, at most %d allowed", ErrMalformed, len(p), MaxCertificateSize)
	}
	r := reader{b: p}
	c.Body = readBody(&r)
	n := int(r.u8())
	if n > maxCommittee {
		r.fail("%d signatures", n)
		n = 0
	}
	for range n {
		c.Signatures = append(c.Signatures, Endorsement{Member: r.u8(), Signature: r.signature()})
	}
	return c, r.end()
}

func readBody(r *reader) (b Body) {
	if string(r.take(4)) != certificateMagic || r.u16() != certificateVersion {
		r.fail("no certificate of version %d", certificateVersion)
	}
	b.Kind = Kind(r.u8())
	b.Run = r.hash()
	b.Seq = Seq(r.u64())
	b.Previous = r.hash()
	b.Key = gradients.Key{Fragment: int(r.u32()), Departure: r.u64()}
	b.Base = Seq(r.u64())
	b.BaseRoot = r.hash()
	b.Cursor = r.u64()
	b.Beacon = r.hash()
	for range r.count(includedSize) {
		b.List = append(b.List, Included{Slot: Slot(r.u32()), Weight: r.u64(), SignedHeader: readHeader(r)})
	}
	for range r.count(admittedSize) {
		b.Joined = append(b.Joined, Admitted{Slot: Slot(r.u32()), Peer: r.peer()})
	}
	for range r.count(4) {
		b.Left = append(b.Left, Slot(r.u32()))
	}
	b.Announce.Seq = Seq(r.u64())
	n := int(r.u8())
	if n > maxCID {
		r.fail("content identifier of %d bytes", n)
		n = 0
	}
	b.Announce.CID = string(r.take(n))
	return b
}

// SignBody endorses a body as the given committee member.
func (s Signer) SignBody(member uint8, b *Body) Endorsement {
	return Endorsement{Member: member, Signature: s.Sign(certificateDomain, b.encode())}
}

// beacon is the randomness after a round: it follows from what was counted, so that nobody knows it before the payloads
// are out, and from no key and no arrival order, so that a run can be repeated.
func beacon(previous Hash, b *Body) Hash {
	w := writer{[]byte("skein/beacon/1\x00")}
	w.raw(previous[:])
	w.u64(uint64(b.Seq))
	w.raw(b.BaseRoot[:])
	for _, e := range b.List {
		w.u32(uint32(e.Slot))
		w.u64(e.Weight)
		w.raw(e.Payload[:])
	}
	return sha256.Sum256(w.b)
}

// Weights returns the list's weights for the sum, divided by their greatest common divisor, so that equal shares
// are summed with weight 1 exactly.
func (b *Body) Weights() []float32 {
	var d uint64
	for _, e := range b.List {
		d = gcd(d, e.Weight)
	}
	out := make([]float32, len(b.List))
	for i, e := range b.List {
		if d > 0 {
			out[i] = float32(e.Weight / d)
		}
	}
	return out
}

func gcd(a, b uint64) uint64 {
	for b > 0 {
		a, b = b, a%b
	}
	return a
}

// Counts reports whether the peer's contribution is in the list, and where.
func (b *Body) Counts(p PeerID) (Included, bool) {
	for _, e := range b.List {
		if e.Worker == p {
			return e, true
		}
	}
	return Included{}, false
}
