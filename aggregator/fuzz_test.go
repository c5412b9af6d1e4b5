package aggregator_test

import (
	"bytes"
	"encoding/json"
	"sync"
	"testing"

	. "github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/gradients"
)

func FuzzHeader(f *testing.F) {
	h := sampleHeader()
	f.Add(h.Encode())
	f.Add(h.Encode()[:100])
	f.Fuzz(func(t *testing.T, p []byte) {
		if h, err := DecodeHeader(p); err == nil && !bytes.Equal(h.Encode(), p) {
			t.Errorf("%x is decoded to a header with the bytes %x", p, h.Encode())
		}
	})
}

func FuzzCertificate(f *testing.F) {
	c, genesis := sampleCertificate(), newCrowd(1, 4, 3, Schedule{Every: 1, Fragments: 1, Steps: 1}).genesis(3)
	f.Add(c.Encode())
	f.Add(genesis.Encode())
	f.Add((&Certificate{}).Encode())
	bare := (&Certificate{}).Encode()
	bare[len(bare)-1] = 5 // signatures that are not there
	f.Add(bare)
	f.Fuzz(func(t *testing.T, p []byte) {
		if c, err := DecodeCertificate(p); err == nil && !bytes.Equal(c.Encode(), p) {
			t.Errorf("%x is decoded to a certificate with the bytes %x", p, c.Encode())
		}
	})
}

func FuzzEntry(f *testing.F) {
	c := sampleCertificate()
	f.Add(Entry{Decide: &c.Body}.Encode())
	f.Add(Entry{Final: &c}.Encode())
	f.Add(append([]byte{'D'}, c.Encode()...)) // a decision has no signatures
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, p []byte) {
		if e, err := DecodeEntry(p); err == nil && !bytes.Equal(e.Encode(), p) {
			t.Errorf("%x is decoded to an entry with the bytes %x", p, e.Encode())
		}
	})
}

// Signed by its owner or by nobody, a manifest is refused, or it is the manifest of its bytes and its schedule adds up.
func FuzzManifest(f *testing.F) {
	m := sampleManifest()
	f.Add(m.Encode())
	f.Fuzz(func(t *testing.T, p []byte) {
		var loose Manifest
		candidates := [][]byte{p}
		if len(p) > 64 && json.Unmarshal(p[64:], &loose) == nil {
			signed := signer(9).SignManifest(loose)
			candidates = append(candidates, signed.Encode())
		}
		for _, p := range candidates {
			m, err := DecodeManifest(p)
			if err != nil {
				continue
			}
			if !bytes.Equal(m.Encode(), p) {
				t.Errorf("%q is decoded to a manifest with the bytes %q", p, m.Encode())
			}
			s := m.Schedule
			if last := s.Rounds(); s.Landing(last)+s.Period(last) != s.Steps || m.Share(1) > 1<<41 {
				t.Errorf("schedule %+v does not add up", s)
			}
		}
	})
}

// A snapshot is refused, or the worker that resumes from it stands where the snapshot says. patch is a JSON object that is laid
// over a good header, sizes are the lengths of the vectors that take the place of the good ones.
func FuzzSnapshot(f *testing.F) {
	f.Add([]byte(`{}`), []byte{})
	f.Add([]byte(`{"Outer":9223372036854775807}`), []byte{4, 4, 4})
	f.Add([]byte(`{"Seq":1,"Step":6,"Flights":null}`), []byte{4, 4, 4, 4})
	f.Add([]byte(`{"Flights":[{"Seq":3},{"Seq":18446744073709551615}]}`), []byte{4, 4, 4, 2, 0, 4})
	var once sync.Once
	var w *world
	var saved Snapshot
	f.Fuzz(func(t *testing.T, patch, sizes []byte) {
		once.Do(func() { w, saved = flying(t) })
		var h map[string]json.RawMessage
		if err := json.Unmarshal(saved.Header, &h); err != nil {
			t.Fatal(err)
		}
		p := Snapshot{Header: patch, Vectors: saved.Vectors}
		if json.Unmarshal(patch, &h) == nil {
			p.Header, _ = json.Marshal(h)
		}
		if len(sizes) > 0 {
			p.Vectors = nil
			for _, n := range sizes {
				p.Vectors = append(p.Vectors, make(gradients.Vec, n))
			}
		}
		o := w.options(0, shrinking)
		o.Resume, o.Replica = &p, trusting{o.Replica.(*scripted)}
		one, err := NewWorker(o)
		if err != nil {
			return
		}
		s, again := one.State(), one.Snapshot()
		if s.Step != w.manifest.Schedule.Landing(s.Seq) || len(s.Anchor) != 4 || len(again.Vectors) > len(p.Vectors)+1 {
			t.Errorf("resumed at round %d, step %d with %d parameters", s.Seq, s.Step, len(s.Anchor))
		}
	})
}

// trusting is a replica that loads anything: it is not the one on trial.
type trusting struct{ *scripted }

func (trusting) Load([]gradients.Vec, []uint64) error { return nil }
