package checkpoint

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/skein-train/skein/aggregator"
)

// skein/certificates.bin: a head, then the certificates from the genesis on, each behind its length. There is no count,
// so that the file only grows from checkpoint to checkpoint and shares its chunks with the one before.
const certificatesHead = "SKL1\x01\x00\x00\x00"

func encodeCertificates(cs []*aggregator.Certificate) []byte {
	b := []byte(certificatesHead)
	for _, c := range cs {
		e := c.Encode()
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e)))
		b = append(b, e...)
	}
	return b
}

// decodeCertificates reads hostile bytes to their end. The caller bounds their number; nothing is checked but the form.
func decodeCertificates(r io.Reader) ([]*aggregator.Certificate, error) {
	in := bufio.NewReader(r)
	head := make([]byte, len(certificatesHead))
	if _, err := io.ReadFull(in, head); err != nil || string(head) != certificatesHead {
		return nil, fmt.Errorf("no list of certificates of version 1 (%v)", err)
	}
	var out []*aggregator.Certificate
	for {
		var length [4]byte
		if _, err := io.ReadFull(in, length[:]); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out), err)
		}
		n := binary.LittleEndian.Uint32(length[:])
		if n > aggregator.MaxCertificateSize {
			return nil, fmt.Errorf("certificate %d of %d bytes, at most %d allowed", len(out), n, aggregator.MaxCertificateSize)
		}
		b, err := io.ReadAll(io.LimitReader(in, int64(n)))
		if err != nil || uint32(len(b)) != n {
			return nil, fmt.Errorf("certificate %d: %d of %d bytes (%v)", len(out), len(b), n, err)
		}
		c, err := aggregator.DecodeCertificate(b)
		if err != nil {
			return nil, fmt.Errorf("certificate %d: %w", len(out), err)
		}
		out = append(out, &c)
	}
}
