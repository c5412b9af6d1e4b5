package ipfs

import (
	"io"
	"io/fs"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

const benchSize = 64 << 20 // bytes

// BenchmarkAdd stores files that have no block in common.
func BenchmarkAdd(b *testing.B) {
	content := storetest.Random(1, benchSize)
	for name, o := range map[string]Options{"synced": {}, "unsynced": {NoSync: true}} {
		b.Run(name, func(b *testing.B) {
			s := openDisk(b, b.TempDir(), o)
			b.SetBytes(benchSize)
			for i := 0; b.Loop(); i++ {
				// One byte more in front changes every block.
				data := io.MultiReader(strings.NewReader(storetest.Random(uint64(i), 1+i%1000)), strings.NewReader(content))
				if _, err := s.Add(b.Context(), "bench", []checkpoint.File{{Path: "f", Data: data}}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVerifyAndRead(b *testing.B) {
	s := openDisk(b, b.TempDir(), Options{})
	id, err := s.Add(b.Context(), "bench", storetest.Files(map[string]string{"f": storetest.Random(1, benchSize)}))
	if err != nil {
		b.Fatal(err)
	}
	b.Run("verify", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			if _, err := s.Verify(b.Context(), id); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.SetBytes(benchSize)
		for b.Loop() {
			folder, err := s.Open(b.Context(), id)
			if err != nil {
				b.Fatal(err)
			}
			if _, err := fs.ReadFile(folder, "f"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkFetch brings 64 MiB from one peer over loopback, disk to disk.
func BenchmarkFetch(b *testing.B) {
	from, to := newHost(b), newHost(b)
	server := openDisk(b, b.TempDir(), Options{Exchange: Bitswap(from)})
	id := addRandom(b, server, 1, 64<<20)
	dial(b, to, from)
	b.SetBytes(64 << 20)
	for b.Loop() {
		s, err := Open(b.Context(), b.TempDir(), Options{Exchange: Bitswap(to)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := s.Fetch(b.Context(), id, FetchOptions{}); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadAt reads windows of 258 bytes at random places of a file of 16 MiB, which fits into the cache.
func BenchmarkReadAt(b *testing.B) {
	s := openDisk(b, b.TempDir(), Options{})
	folder, err := s.Open(b.Context(), addRandom(b, s, 1, 16<<20))
	if err != nil {
		b.Fatal(err)
	}
	f, err := folder.Open("data")
	if err != nil {
		b.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 1))
	window := make([]byte, 258)
	for b.Loop() {
		if _, err := f.(File).ReadAt(window, random.Int64N(16<<20-258)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkAddDir adds a folder of 64 MiB by reference, and BenchmarkAddDirAgain finds it unchanged.
func BenchmarkAddDir(b *testing.B) {
	dir, paths := shardFolder(b)
	b.SetBytes(64 << 20)
	for b.Loop() {
		if _, err := openDisk(b, b.TempDir(), Options{}).AddDir(b.Context(), "shards", dir, paths); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAddDirAgain(b *testing.B) {
	dir, paths := shardFolder(b)
	s := openDisk(b, b.TempDir(), Options{})
	if _, err := s.AddDir(b.Context(), "shards", dir, paths); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := s.AddDir(b.Context(), "shards", dir, paths); err != nil {
			b.Fatal(err)
		}
	}
}

func shardFolder(b *testing.B) (dir string, paths []string) {
	dir = b.TempDir()
	return dir, writeFiles(b, dir, map[string]string{
		"shard_000000.bin": storetest.Random(1, 32<<20), "shard_000001.bin": storetest.Random(2, 32<<20),
	})
}
