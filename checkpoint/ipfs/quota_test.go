package ipfs

import (
	"errors"
	"io"
	"io/fs"
	"sync"
	"testing"

	"github.com/skein-train/skein/checkpoint/storetest"
)

func TestStreamingStaysWithinTheQuota(t *testing.T) {
	const quota = 3 << 20
	a := goOnline(t, Options{})
	content := storetest.Random(1, 8<<20)
	id := addRandom(t, a.Store, 1, len(content))
	dir := t.TempDir()
	h := newHost(t)
	dial(t, h, a.host)
	s := openDisk(t, dir, Options{Exchange: Bitswap(h), Quota: quota, Cache: 1})
	pinned := addRandom(t, s, 2, 1<<20)
	folder, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	f, err := folder.Open("data")
	if err != nil {
		t.Fatal(err)
	}
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			got, err := io.ReadAll(io.NewSectionReader(f.(File), 0, int64(len(content))))
			if err != nil || string(got) != content {
				t.Errorf("%d bytes, error %v", len(got), err)
			}
		})
	}
	readers.Wait()
	used := func(s *Store) int64 {
		u, err := s.Usage(t.Context())
		if err != nil || u.Bytes > quota || u.Bytes != s.quota.total {
			t.Fatalf("%+v used, %d counted, error %v", u, s.quota.total, err)
		}
		return u.Bytes
	}
	if n := used(s); n < quota-ChunkSize {
		t.Errorf("only %d bytes are kept", n)
	}
	before := used(s)
	if _, err := s.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := used(s); n != before {
		t.Errorf("Collect took %d bytes that the quota had room for", before-n)
	}
	if _, err := s.Verify(t.Context(), pinned); err != nil {
		t.Errorf("streaming took a pinned block: %v", err)
	}
	// What must stay goes before what was streamed, and no further.
	second := addRandom(t, s, 3, 1<<20)
	used(s)
	if _, err := s.Add(t.Context(), "too much", storetest.Files(map[string]string{"f": storetest.Random(4, 1<<20)})); !errors.Is(err, ErrQuota) {
		t.Errorf("error %v, want ErrQuota", err)
	}
	if _, err := s.Fetch(t.Context(), id, FetchOptions{}); !errors.Is(err, ErrQuota) {
		t.Errorf("error %v, want ErrQuota", err)
	}
	if err := s.Unpin(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{pinned, second} {
		if _, err := s.Verify(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
}

func TestStreamedBlocksMayBePinnedAndComeBack(t *testing.T) {
	a := goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 1<<20)
	dir := t.TempDir()
	h := newHost(t)
	dial(t, h, a.host)
	s, err := Open(t.Context(), dir, Options{Exchange: Bitswap(h), Quota: 3 << 20})
	if err != nil {
		t.Fatal(err)
	}
	folder, err := s.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fs.ReadFile(folder, "data"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openDisk(t, dir, Options{Quota: 3 << 20})
	if s.quota.loose.used != s.quota.total || s.quota.total < 1<<20 {
		t.Errorf("%d of %d bytes may go", s.quota.loose.used, s.quota.total)
	}
	if err := s.Pin(t.Context(), id, "mine"); err == nil {
		if s.quota.loose.used != 0 {
			t.Errorf("%d pinned bytes may go", s.quota.loose.used)
		}
	} else {
		t.Error(err)
	}
}
