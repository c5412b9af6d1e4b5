package ipfs

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

func TestRawBlocksFromElsewhere(t *testing.T) {
	payload := []byte(storetest.Random(1, 700<<10))
	wrong := sha256.Sum256([]byte("wrong"))
	tooLong := []byte(storetest.Random(2, MaxRaw+1))
	outside := map[[32]byte][]byte{sha256.Sum256(payload): payload, wrong: []byte("other bytes"), sha256.Sum256(tooLong): tooLong}
	a := goOnline(t, Options{Extra: func(h [32]byte) ([]byte, bool) { b, ok := outside[h]; return b, ok }})
	b := goOnline(t, Options{Wait: 300 * time.Millisecond})
	dial(t, b.host, a.host)
	got, err := b.GetRaw(t.Context(), sha256.Sum256(payload), len(payload))
	if err != nil || !bytes.Equal(got, payload) {
		t.Errorf("%d bytes, error %v", len(got), err)
	}
	if _, err := b.GetRaw(t.Context(), sha256.Sum256(payload), len(payload)-1); !errors.Is(err, checkpoint.ErrRefused) {
		t.Errorf("longer than allowed: error %v", err)
	}
	for _, h := range [][32]byte{wrong, sha256.Sum256(tooLong), {1}} {
		if _, err := b.GetRaw(t.Context(), h, 2<<20); !errors.Is(err, checkpoint.ErrNotFound) {
			t.Errorf("%x: error %v, want ErrNotFound", h[:4], err)
		}
	}
	if u, err := b.Usage(t.Context()); err != nil || u.Blocks > 0 {
		t.Errorf("the store kept %+v, error %v", u, err)
	}
	if _, err := openMemory(t).GetRaw(t.Context(), wrong, 1); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("offline: error %v", err)
	}
}
