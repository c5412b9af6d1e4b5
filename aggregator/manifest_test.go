package aggregator_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	. "github.com/skein-train/skein/aggregator"
)

func sampleManifest() SignedManifest {
	return signer(9).SignManifest(newCrowd(1, 3, 0, Schedule{Every: 4, Fragments: 2, Delay: 1, Steps: 40}).manifest)
}

func TestManifestBytes(t *testing.T) {
	m := sampleManifest()
	p := m.Encode()
	golden(t, "manifest.hex", p)
	back, err := DecodeManifest(p)
	if err != nil || !bytes.Equal(back.Encode(), p) || back.Hash() != m.Hash() {
		t.Errorf("decoded as %+v, %v", back, err)
	}
	body := p[64:]
	for name, q := range map[string][]byte{
		"empty":         nil,
		"no body":       p[:64],
		"cut short":     p[:len(p)-1],
		"more behind":   append(p[:len(p):len(p)], ' '),
		"flipped":       append(p[:63:63], append([]byte{p[63] ^ 1}, body...)...),
		"unknown field": bytes.Replace(p, []byte(`{"version"`), []byte(`{"more":1,"version"`), 1),
		"spaced":        bytes.Replace(p, []byte(`"seed":7`), []byte(`"seed": 7`), 1),
		"other seed":    bytes.Replace(p, []byte(`"seed":7`), []byte(`"seed":8`), 1),
		"too long":      append(p[:64:64], make([]byte, 256<<10)...),
	} {
		if _, err := DecodeManifest(q); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A manifest that would divide by zero, overflow, or count one member twice is refused, whoever signed it.
func TestManifestLimits(t *testing.T) {
	good := sampleManifest().Manifest
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Manifest){
		"version":           func(m *Manifest) { m.Version++ },
		"no committee":      func(m *Manifest) { m.Committee = nil },
		"large committee":   func(m *Manifest) { m.Committee = newCrowd(1, 8, 0, m.Schedule).manifest.Committee },
		"member twice":      func(m *Manifest) { m.Committee = []PeerID{m.Committee[0], m.Committee[1], m.Committee[0]} },
		"every 0":           func(m *Manifest) { m.Schedule.Every = 0 },
		"every huge":        func(m *Manifest) { m.Schedule.Every = 1 << 62; m.Schedule.Fragments = 1 << 61 },
		"fragments 0":       func(m *Manifest) { m.Schedule.Fragments = 0 },
		"fragments odd":     func(m *Manifest) { m.Schedule.Fragments = 3 },
		"fragments > every": func(m *Manifest) { m.Schedule.Fragments = 8 },
		"delay > every":     func(m *Manifest) { m.Schedule.Delay = 5 },
		"no round":          func(m *Manifest) { m.Schedule.Steps = 1 },
		"steps huge":        func(m *Manifest) { m.Schedule.Steps = math.MaxUint64 },
		"batch 0":           func(m *Manifest) { m.BatchSize = 0 },
		"batch huge":        func(m *Manifest) { m.BatchSize = math.MaxUint64 },
		"sequence 0":        func(m *Manifest) { m.SeqLen = 0 },
		"sequence huge":     func(m *Manifest) { m.SeqLen = 1 << 40 },
		"no data":           func(m *Manifest) { m.Sequences = 0 },
		"no parameters":     func(m *Manifest) { m.Parameters = 0 },
		"min peers 0":       func(m *Manifest) { m.MinPeers = 0 },
		"no deadline":       func(m *Manifest) { m.Deadline = 0 },
		"stale for ever":    func(m *Manifest) { m.Schedule.Fragments, m.Schedule.Delay, m.MaxStaleness = 1, 0, 1e6+1 },
	} {
		m := good
		spoil(&m)
		version := m.Version
		signed := signer(9).SignManifest(m)
		if signed.Version = version; !errors.Is(m.Validate(), ErrMalformed) {
			t.Errorf("%s: valid", name)
		}
		if _, err := DecodeManifest(signed.Encode()); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: decoded with %v", name, err)
		}
	}
}

// At the limits nothing overflows: the data that a full roster reserves and the tokens of a departure fit in 64 bits.
func TestLimitsDoNotOverflow(t *testing.T) {
	m := sampleManifest().Manifest
	m.Schedule = Schedule{Every: 1 << 20, Fragments: 1, Delay: 1 << 20, Steps: 1 << 30}
	m.BatchSize, m.SeqLen = 1<<20, 1<<20
	if err := m.Validate(); err != nil {
		t.Fatal(err)
	}
	var reserved float64
	for n := Seq(0); n <= m.Schedule.Rounds(); n++ {
		if share, exact := m.Share(n), float64(m.Schedule.Period(n))*float64(m.BatchSize); float64(share) != exact {
			t.Fatalf("share %d of round %d overflows", share, n)
		}
		reserved += float64(m.Share(n)) * MaxRoster
	}
	if tokens := float64(m.Schedule.Stride()) * float64(m.BatchSize) * float64(m.SeqLen); reserved > 1<<63 || tokens > 1<<63 {
		t.Errorf("%g sequences reserved, %g tokens in a departure", reserved, tokens)
	}
}
