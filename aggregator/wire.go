package aggregator

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// ErrMalformed is wrapped by every error about bytes that are no valid header or certificate.
var ErrMalformed = errors.New("malformed")

// writer appends little-endian fields.
type writer struct{ b []byte }

func (w *writer) raw(p []byte) { w.b = append(w.b, p...) }
func (w *writer) u8(v uint8)   { w.b = append(w.b, v) }
func (w *writer) u16(v uint16) { w.b = binary.LittleEndian.AppendUint16(w.b, v) }
func (w *writer) u32(v uint32) { w.b = binary.LittleEndian.AppendUint32(w.b, v) }
func (w *writer) u64(v uint64) { w.b = binary.LittleEndian.AppendUint64(w.b, v) }
func (w *writer) f32(v float32) {
	w.u32(math.Float32bits(v))
}

// reader takes little-endian fields off hostile bytes; after the first shortage every field is zero and err is set.
type reader struct {
	b   []byte
	err error
}

func (r *reader) take(n int) []byte {
	if r.err != nil || len(r.b) < n {
		r.fail("%d bytes missing", n-len(r.b))
		return make([]byte, n)
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
}

func (r *reader) u8() uint8            { return r.take(1)[0] }
func (r *reader) u16() uint16          { return binary.LittleEndian.Uint16(r.take(2)) }
func (r *reader) u32() uint32          { return binary.LittleEndian.Uint32(r.take(4)) }
func (r *reader) u64() uint64          { return binary.LittleEndian.Uint64(r.take(8)) }
func (r *reader) f32() float32         { return math.Float32frombits(r.u32()) }
func (r *reader) hash() Hash           { return Hash(r.take(32)) }
func (r *reader) peer() PeerID         { return PeerID(r.take(32)) }
func (r *reader) signature() Signature { return Signature(r.take(64)) }

// count reads a number of elements of at least size bytes each, and refuses more than the bytes left can hold.
func (r *reader) count(size int) int {
	n := int(r.u16())
	if r.err == nil && n*size > len(r.b) {
		r.fail("%d elements announced, bytes for %d", n, len(r.b)/size)
		return 0
	}
	return n
}

// end refuses bytes that are left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("%d bytes left over", len(r.b))
	}
	return r.err
}
