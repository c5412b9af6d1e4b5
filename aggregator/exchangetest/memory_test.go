package exchangetest_test

import (
	"testing"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/aggregator/exchangetest"
)

func TestMemory(t *testing.T) {
	exchangetest.Run(t, func(t *testing.T, m aggregator.Manifest, n int) *exchangetest.Swarm {
		owner := aggregator.NewSigner([32]byte{1})
		m.Committee = []aggregator.PeerID{owner.ID}
		m = owner.SignManifest(m).Manifest
		s := &exchangetest.Swarm{Manifest: &m}
		var ids []aggregator.PeerID
		for i := range n {
			s.Signers = append(s.Signers, aggregator.NewSigner([32]byte{2, byte(i)}))
			ids = append(ids, s.Signers[i].ID)
		}
		x, err := aggregator.NewMemory(t.Context(), &m, owner, aggregator.NewMemoryLog(), ids)
		if err != nil {
			t.Fatal(err)
		}
		s.Do = x.Do
		for _, id := range ids {
			s.Exchanges = append(s.Exchanges, x.Exchange(id))
		}
		return s
	})
}
