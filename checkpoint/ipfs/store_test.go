package ipfs

import (
	"testing"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

func openDisk(t testing.TB, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func openMemory(t testing.TB) *Store {
	t.Helper()
	s, err := Memory(t.Context(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOnDisk(t *testing.T) {
	storetest.Run(t, func(t *testing.T) checkpoint.Store { return openDisk(t, t.TempDir(), Options{}) })
}

func TestInMemory(t *testing.T) {
	storetest.Run(t, func(t *testing.T) checkpoint.Store { return openMemory(t) })
}

func TestOverBitswap(t *testing.T) {
	storetest.RunNetwork(t, func(t *testing.T) (here, there checkpoint.Store) {
		a, b := goOnline(t, Options{}), goOnline(t, Options{})
		dial(t, a.host, b.host)
		return a, b
	})
}
