package swarm

import (
	"crypto/sha256"
	"encoding/binary"
	"io"

	"github.com/skein-train/skein/aggregator"
)

const (
	partSize = 256 << 10 // bytes of a part at most
	leastCut = 16 << 10  // bytes that no payload is cut below
	maxParts = 8192      // parts of a payload: 2 GiB
)

// partsList names the parts of a payload too large for one message: the SHA-256 of each, signed by its worker.
type partsList struct {
	header aggregator.SignedHeader
	hashes []aggregator.Hash
	sig    aggregator.Signature
}

const partsDomain = "skein/parts/1\x00"

// cutOf is how many bytes the parts of a payload of size bytes have, all but the last: a sixteenth or so of it, so that who has received some
// can soon pass them on, while the rest is still on its way.
func cutOf(size uint64) uint64 {
	cut := uint64(leastCut)
	for cut < partSize && 16*cut < size {
		cut *= 2
	}
	return cut
}

// partCount is how many parts a payload of size bytes has.
func partCount(size uint64) int { return int((size + cutOf(size) - 1) / cutOf(size)) }

// bounds are the first byte of part i, and its length.
func (l *partsList) bounds(i int) (off int64, n int) {
	cut := int64(cutOf(l.header.Size))
	off = int64(i) * cut
	return off, int(min(cut, int64(l.header.Size)-off))
}

func (l *partsList) signed() []byte {
	h := l.header.Header.Hash()
	out := h[:]
	for i := range l.hashes {
		out = append(out, l.hashes[i][:]...)
	}
	return out
}

// listParts hashes the parts of a payload and signs the list.
func listParts(s aggregator.Signer, h aggregator.SignedHeader, payload io.Reader) (*partsList, error) {
	l := &partsList{header: h, hashes: make([]aggregator.Hash, partCount(h.Size))}
	part := make([]byte, partSize)
	for i := range l.hashes {
		_, n := l.bounds(i)
		if _, err := io.ReadFull(payload, part[:n]); err != nil {
			return nil, err
		}
		l.hashes[i] = sha256.Sum256(part[:n])
	}
	l.sig = s.Sign(partsDomain, l.signed())
	return l, nil
}

// encode returns header ‖ hashes ‖ signature; the number of hashes follows from the header's size.
func (l *partsList) encode() []byte {
	out := l.header.Encode()
	for i := range l.hashes {
		out = append(out, l.hashes[i][:]...)
	}
	return append(out, l.sig[:]...)
}

// decodeParts reads a parts list from hostile bytes and checks its signature, but not the header's.
func decodeParts(b []byte) (*partsList, error) {
	if len(b) < aggregator.SignedHeaderSize {
		return nil, malformed("parts list of %d bytes", len(b))
	}
	h, err := aggregator.DecodeHeader(b[:aggregator.SignedHeaderSize])
	if err != nil {
		return nil, err
	}
	if h.Size <= inlineLimit || h.Size > maxParts*partSize {
		return nil, malformed("parts list for a payload of %d bytes", h.Size)
	}
	rest := b[aggregator.SignedHeaderSize:]
	n := partCount(h.Size)
	if len(rest) != n*32+64 {
		return nil, malformed("parts list: %d bytes for %d hashes", len(rest), n)
	}
	l := &partsList{header: h, hashes: make([]aggregator.Hash, n), sig: aggregator.Signature(rest[n*32:])}
	for i := range l.hashes {
		l.hashes[i] = aggregator.Hash(rest[i*32:])
	}
	if !h.Worker.Verify(partsDomain, l.signed(), l.sig) {
		return nil, malformed("parts list is not signed by %v", h.Worker)
	}
	return l, nil
}

// bitmap is a set of parts.
type bitmap []byte

func newBitmap(n int) bitmap    { return make(bitmap, (n+7)/8) }
func (b bitmap) has(i int) bool { return b[i/8]>>(i%8)&1 == 1 }
func (b bitmap) add(i int)      { b[i/8] |= 1 << (i % 8) }
func full(n int) bitmap {
	b := newBitmap(n)
	for i := range n {
		b.add(i)
	}
	return b
}

// maxWants bounds how many parts one request may name.
const maxWants = 64

// encodeParts returns part metadata: how many parts there are, which of them the sender has, which it wants.
func encodeMeta(n int, have bitmap, wants []int) []byte {
	out := binary.LittleEndian.AppendUint16(make([]byte, 0, 2+len(have)+2*len(wants)), uint16(n))
	out = append(out, have...)
	for _, i := range wants {
		out = binary.LittleEndian.AppendUint16(out, uint16(i))
	}
	return out
}

// decodeMeta reads part metadata for a payload of n parts from hostile bytes.
func decodeMeta(n int, b []byte) (have bitmap, wants []int, err error) {
	size := 2 + (n+7)/8
	if len(b) < size || (len(b)-size)%2 != 0 || len(b) > size+2*maxWants || int(binary.LittleEndian.Uint16(b)) != n {
		return nil, nil, malformed("part metadata of %d bytes for %d parts", len(b), n)
	}
	have = bitmap(b[2:size])
	for w := b[size:]; len(w) > 0; w = w[2:] {
		i := int(binary.LittleEndian.Uint16(w))
		if i >= n {
			return nil, nil, malformed("part %d of %d wanted", i, n)
		}
		wants = append(wants, i)
	}
	return have, wants, nil
}
