package gradients

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// packer is the zstd stage. It first sorts the values into byte planes (all lowest bytes, then all second bytes, …): in
// floats the byte with the exponent compresses and the mantissa does not, and side by side neither would.
type packer struct {
	width int // bytes of one value
	enc   *zstd.Encoder
	dec   *zstd.Decoder

	planes, out []byte // scratch of pack
}

// packWindow is short: gradients hold no far repetitions, and all gain comes from entropy coding.
const packWindow = 128 << 10

func newPacker(width int) (*packer, error) {
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithAllLitEntropyCompression(true), // blocks without a match gain too
		zstd.WithWindowSize(packWindow),
		zstd.WithSingleSegment(true), // the size stands in every header
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false)) // the payload's hash covers it
	if err != nil {
		return nil, fmt.Errorf("zstd stage: %w", err)
	}
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(1<<40), // in a single segment it is the size, which is bounded before
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return nil, fmt.Errorf("zstd stage: %w", err)
	}
	return &packer{width: width, enc: enc, dec: dec}, nil
}

// pack returns the packed values in memory that the next pack overwrites. The same values give the same bytes.
func (p *packer) pack(body []byte) []byte {
	if p.width > 1 {
		p.planes = grow(p.planes[:0], len(body))
		split(p.planes, body, p.width)
		body = p.planes
	}
	p.out = p.enc.EncodeAll(body, p.out[:0])
	return p.out
}

// size reads the size that packed values declare, which zstd leaves optional and this format does not.
func (p *packer) size(packed []byte) (uint64, error) {
	var h zstd.Header
	if err := h.Decode(packed); err != nil {
		return 0, fmt.Errorf("%w: zstd header: %w", ErrCorrupt, err)
	}
	if h.Skippable || !h.HasFCS || h.HasCheckSum {
		return 0, fmt.Errorf("%w: zstd header: expected a size and no checksum", ErrCorrupt)
	}
	if !oneFrame(packed[h.HeaderSize:]) {
		return 0, fmt.Errorf("%w: zstd: expected one frame and nothing behind it", ErrCorrupt)
	}
	return h.FrameContentSize, nil
}

// oneFrame walks over the blocks of a zstd frame (RFC 8878, section 3.1.1.2) and reports whether the last one ends
// where the bytes end. The decoder alone would skip empty frames behind it.
func oneFrame(blocks []byte) bool {
	const rle = 1
	for len(blocks) >= 3 {
		h := int(blocks[0]) | int(blocks[1])<<8 | int(blocks[2])<<16
		last, kind, size := h&1 == 1, h>>1&3, h>>3
		if kind == rle {
			size = 1
		}
		if blocks = blocks[3:]; size > len(blocks) {
			return false
		}
		if blocks = blocks[size:]; last {
			return len(blocks) == 0
		}
	}
	return false
}

// unpack returns the values, exactly size bytes and a multiple of the width, in memory that it keeps in *buf. What it
// allocates is bounded by size whatever packed says.
func (p *packer) unpack(packed []byte, size int, buf *[]byte) ([]byte, error) {
	need := size
	if p.width > 1 {
		need = 2 * size
	}
	*buf = grow((*buf)[:0], need)
	body, out := (*buf)[:size:size], (*buf)[need-size:need:need] // the same when there is one plane
	got, err := p.dec.DecodeAll(packed, out[:0])
	if err != nil {
		return nil, fmt.Errorf("%w: zstd: %w", ErrCorrupt, err)
	}
	if len(got) != size {
		return nil, fmt.Errorf("%w: zstd: %d bytes unpacked, %d declared", ErrCorrupt, len(got), size)
	}
	if p.width > 1 {
		join(body, out, p.width)
	}
	return body, nil
}

// split writes byte j of every value of src to plane j of dst.
func split(dst, src []byte, width int) {
	n := len(src) / width
	for j := range width {
		plane := dst[j*n : (j+1)*n]
		for i, at := 0, j; i < len(plane) && at < len(src); i, at = i+1, at+width {
			plane[i] = src[at]
		}
	}
}

// join undoes split.
func join(dst, src []byte, width int) {
	n := len(src) / width
	for j := range width {
		plane := src[j*n : (j+1)*n]
		for i, at := 0, j; i < len(plane) && at < len(dst); i, at = i+1, at+width {
			dst[at] = plane[i]
		}
	}
}
