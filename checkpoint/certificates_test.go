package checkpoint

import (
	"bytes"
	"testing"

	"github.com/skein-train/skein/aggregator"
)

func FuzzDecodeCertificates(f *testing.F) {
	m := &aggregator.Manifest{}
	genesis := &aggregator.Certificate{Body: m.Genesis([]aggregator.PeerID{{1}, {2}})}
	f.Add([]byte(certificatesHead))
	f.Add(encodeCertificates([]*aggregator.Certificate{genesis, genesis}))
	f.Fuzz(func(t *testing.T, b []byte) {
		cs, err := decodeCertificates(bytes.NewReader(b))
		if err == nil && !bytes.Equal(encodeCertificates(cs), b) {
			t.Error("accepted bytes are not what encodeCertificates writes")
		}
	})
}
