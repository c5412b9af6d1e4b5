package aggregator_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"os"
	"runtime"
	"slices"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

// sampleHeader has another value in every field.
func sampleHeader() SignedHeader {
	return signer(2).SignHeader(Header{
		Run: Hash{1, 2}, Key: gradients.Key{Fragment: 3, Departure: 1 << 33}, Base: 5, BaseRoot: Hash{6, 7}, Tokens: 8 << 32, Loss: 2.5,
		Payload: Hash{9, 10}, Size: 11 << 20, Class: 0x0c0d, Segments: Hash{14},
	})
}

func sampleCertificate() Certificate {
	b := Body{
		Kind: Round, Run: Hash{1}, Seq: 2, Previous: Hash{3}, Key: gradients.Key{Fragment: 4, Departure: 5}, Base: 6, BaseRoot: Hash{7},
		List:   []Included{{Slot: 8, Weight: 9 << 40, SignedHeader: sampleHeader()}},
		Joined: []Admitted{{Slot: 10, Peer: signer(3).ID}, {Slot: 11, Peer: signer(4).ID}},
		Left:   []Slot{12, 1 << 31}, Cursor: 13 << 40, Beacon: Hash{14}, Announce: Announcement{Seq: 1, CID: "bafy"},
	}
	return Certificate{Body: b, Signatures: []Endorsement{signer(0).SignBody(0, &b), signer(1).SignBody(6, &b)}}
}

// table writes fields as docs/wire.md lists them: numbers little-endian, everything else as it is.
func table(fields ...any) []byte {
	var w bytes.Buffer
	for _, f := range fields {
		if s, ok := f.(string); ok {
			f = []byte(s)
		}
		if err := binary.Write(&w, binary.LittleEndian, f); err != nil {
			panic(err)
		}
	}
	return w.Bytes()
}

// golden compares bytes with those that were written when the format was fixed: whoever changes them changes the version.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := hex.DecodeString(string(bytes.ReplaceAll(text, []byte("\n"), nil)))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the bytes have changed:\n%x", file, got)
	}
}

func headerTable(h *SignedHeader) []byte {
	return table("SKH1", uint16(1), h.Class, h.Run, h.Worker, uint32(h.Key.Fragment), h.Key.Departure, h.Base, h.BaseRoot, h.Tokens, h.Loss,
		h.Payload, h.Size, h.Segments, h.Signature)
}

func TestHeaderBytes(t *testing.T) {
	h := sampleHeader()
	p := h.Encode()
	if len(p) != SignedHeaderSize || !bytes.Equal(p, headerTable(&h)) {
		t.Errorf("%d bytes, not those of the table:\n%x", len(p), p)
	}
	golden(t, "header.hex", p)
	back, err := DecodeHeader(p)
	if err != nil || back != h || !back.Verify() {
		t.Errorf("decoded as %+v, %v", back, err)
	}
	for at := range p {
		q := slices.Clone(p)
		q[at] ^= 1
		if back, err := DecodeHeader(q); err == nil && back.Verify() {
			t.Errorf("a flipped bit in byte %d goes unnoticed", at)
		}
	}
}

func TestCertificateBytes(t *testing.T) {
	c := sampleCertificate()
	p := c.Encode()
	e := &c.List[0]
	want := table("SKC1", uint16(1), c.Kind, c.Run, c.Seq, c.Previous, uint32(c.Key.Fragment), c.Key.Departure, c.Base, c.BaseRoot, c.Cursor, c.Beacon,
		uint16(1), e.Slot, e.Weight, headerTable(&e.SignedHeader),
		uint16(2), c.Joined, uint16(2), c.Left, c.Announce.Seq, uint8(4), c.Announce.CID,
		uint8(2), c.Signatures)
	if !bytes.Equal(p, want) {
		t.Errorf("not the bytes of the table:\n%x\nwant\n%x", p, want)
	}
	golden(t, "certificate.hex", p)
	back, err := DecodeCertificate(p)
	if err != nil || !bytes.Equal(back.Encode(), p) || back.Hash() != c.Hash() {
		t.Errorf("decoded as %+v, %v", back, err)
	}
	for n := range p {
		if _, err := DecodeCertificate(p[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
	}
	if _, err := DecodeCertificate(append(p, 0)); !errors.Is(err, ErrMalformed) {
		t.Errorf("a byte too many: %v", err)
	}
}

// Counts that promise more than the bytes hold cost nothing.
func TestDecodersAllocateLittle(t *testing.T) {
	c := sampleCertificate()
	p := c.Encode()
	list, joined := 171, 173+4+8+SignedHeaderSize
	for _, at := range []int{list, joined, joined + 2 + 2*36} {
		q := slices.Clone(p)
		q[at], q[at+1] = 0xff, 0xff
		if used := allocated(func() {
			if _, err := DecodeCertificate(q); !errors.Is(err, ErrMalformed) {
				t.Errorf("count at %d: %v", at, err)
			}
		}); used > 64<<10 {
			t.Errorf("count at %d: %d bytes allocated for an input of %d", at, used, len(q))
		}
	}
	if used := allocated(func() { _, _ = DecodeCertificate(make([]byte, MaxCertificateSize+1)) }); used > 2*MaxCertificateSize {
		t.Errorf("%d bytes allocated for an input that is too long", used)
	}
	full := sampleCertificate()
	for range 3000 {
		full.List = append(full.List, full.List[0])
	}
	p = full.Encode()
	if used := allocated(func() { _, _ = DecodeCertificate(p) }); used > 8*MaxCertificateSize {
		t.Errorf("%d bytes allocated for a certificate of %d", used, len(p))
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Domains keep a signature of one kind from being passed off as another.
func TestSignaturesKeepToTheirDomain(t *testing.T) {
	h := sampleHeader()
	c := sampleCertificate()
	m := signer(0).SignManifest(newCrowd(1, 1, 0, Schedule{Every: 1, Fragments: 1, Steps: 1}).manifest)
	for _, s := range []struct {
		domain    string
		by        PeerID
		message   []byte
		signature Signature
	}{
		{"skein/header/1\x00", h.Worker, h.Encode()[:SignedHeaderSize-64], h.Signature},
		{"skein/certificate/1\x00", signer(1).ID, c.Encode()[:len(c.Encode())-1-2*65], c.Signatures[1].Signature},
		{"skein/manifest/1\x00", m.Owner, m.Manifest.Encode(), m.Signature},
	} {
		for _, domain := range []string{"skein/header/1\x00", "skein/certificate/1\x00", "skein/manifest/1\x00"} {
			if got := s.by.Verify(domain, s.message, s.signature); got != (domain == s.domain) {
				t.Errorf("a signature under %q counts under %q: %v", s.domain, domain, got)
			}
		}
	}
}
