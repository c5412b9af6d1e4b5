package aggregator

import (
	"crypto/sha256"
	"math"

	"github.com/skein-train/skein/gradients"
)

// Header says what a contribution is, without its payload. The bytes are in docs/wire.md, "Headers".
type Header struct {
	Run      Hash          // the manifest's hash
	Worker   PeerID        // who signs
	Key      gradients.Key // fragment, and the inner step after which it left
	Base     Seq           // the last round folded into the anchor that the pseudo-gradient counts from
	BaseRoot Hash          // root of the shared state at Base: a worker that has diverged says so here
	Tokens   uint64        // tokens trained since the last departure
	Loss     float32       // mean training loss over them, nats per token
	Payload  Hash          // SHA-256 of the payload
	Size     uint64        // bytes of the payload
	Class    uint16        // numeric class of the engine: same class, same bits
	Segments Hash          // root of the audit segments; zero until audits exist
}

const (
	headerMagic   = "SKH1"
	headerVersion = 1
	headerSize    = 208
	headerDomain  = "skein/header/1\x00"

	// SignedHeaderSize is the size in bytes of a signed header on the wire.
	SignedHeaderSize = headerSize + 64
)

// SignedHeader is a header with its worker's signature.
type SignedHeader struct {
	Header
	Signature Signature
}

func (h *Header) encode() []byte {
	w := writer{make([]byte, 0, SignedHeaderSize)}
	w.raw([]byte(headerMagic))
	w.u16(headerVersion)
	w.u16(h.Class)
	w.raw(h.Run[:])
	w.raw(h.Worker[:])
	w.u32(uint32(h.Key.Fragment))
	w.u64(h.Key.Departure)
	w.u64(uint64(h.Base))
	w.raw(h.BaseRoot[:])
	w.u64(h.Tokens)
	w.f32(h.Loss)
	w.raw(h.Payload[:])
	w.u64(h.Size)
	w.raw(h.Segments[:])
	return w.b
}

// Encode returns the signed header's wire form, SignedHeaderSize bytes.
func (s *SignedHeader) Encode() []byte { return append(s.Header.encode(), s.Signature[:]...) }

// Hash names the header: SHA-256 of its wire form without the signature.
func (h *Header) Hash() Hash { return sha256.Sum256(h.encode()) }

// SignHeader signs a header; h.Worker is set to the signer.
func (s Signer) SignHeader(h Header) SignedHeader {
	h.Worker = s.ID
	return SignedHeader{Header: h, Signature: s.Sign(headerDomain, h.encode())}
}

// Verify reports whether the signature is the named worker's.
func (s *SignedHeader) Verify() bool {
	return s.Worker.Verify(headerDomain, s.Header.encode(), s.Signature)
}

// DecodeHeader reads a signed header from hostile bytes. It checks the form, not the signature.
func DecodeHeader(b []byte) (SignedHeader, error) {
	r := reader{b: b}
	s := readHeader(&r)
	return s, r.end()
}

func readHeader(r *reader) (s SignedHeader) {
	if string(r.take(4)) != headerMagic || r.u16() != headerVersion {
		r.fail("no contribution header of version %d", headerVersion)
	}
	s.Class = r.u16()
	s.Run = r.hash()
	s.Worker = r.peer()
	s.Key = gradients.Key{Fragment: int(r.u32()), Departure: r.u64()}
	s.Base = Seq(r.u64())
	s.BaseRoot = r.hash()
	s.Tokens = r.u64()
	s.Loss = r.f32()
	s.Payload = r.hash()
	s.Size = r.u64()
	s.Segments = r.hash()
	s.Signature = r.signature()
	if loss := float64(s.Loss); math.IsNaN(loss) || math.IsInf(loss, 0) {
		r.fail("training loss is not finite")
	}
	return s
}

// Contribution is what a worker offers for one departure.
type Contribution struct {
	SignedHeader
	Bytes []byte // the payload
}
