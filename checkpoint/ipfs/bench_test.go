package ipfs

import (
	"io"
	"io/fs"
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
