package cli

import (
	"bytes"
	"encoding/binary"
	"errors"
	"regexp"
	"testing"
)

// counting is a Source whose validation sequence i is 100·i, 100·i + 1, ….
type counting struct {
	silence
	n int
}

func (c counting) Validations() int { return c.n }

func (c counting) Validation(dst []int32, i int) error {
	if i == 1000 {
		return errors.New("unreadable")
	}
	for k := range dst {
		dst[k] = int32(100*i + k)
	}
	return nil
}

func TestWriteValidation(t *testing.T) {
	for _, n := range []int{0, 1, 12, 999} {
		var out bytes.Buffer
		if err := writeValidation(&out, counting{silence{seqLen: 4}, n}); err != nil {
			t.Fatal(err)
		}
		b := out.Bytes()
		size := 10 + int(binary.LittleEndian.Uint16(b[8:]))
		header := regexp.MustCompile(`^{'descr': '<i4', 'fortran_order': False, 'shape': \((\d+), 5\), } *\n$`).FindSubmatch(b[10:size])
		if string(b[:8]) != "\x93NUMPY\x01\x00" || size%64 != 0 || header == nil || len(b) != size+n*5*4 {
			t.Fatalf("%d sequences: %d bytes that start with %q", n, len(b), b[:size])
		}
		for i := range n * 5 {
			if got, want := binary.LittleEndian.Uint32(b[size+4*i:]), uint32(i/5*100+i%5); got != want {
				t.Fatalf("value %d is %d, want %d", i, got, want)
			}
		}
	}
	if err := writeValidation(&bytes.Buffer{}, counting{silence{seqLen: 4}, 1001}); err == nil {
		t.Error("an unreadable sequence was passed over")
	}
}
