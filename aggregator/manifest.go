package aggregator

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// Manifest is what a run is: everything that its members must agree on before the first round. It is data only. Its
// signed form is what a joiner checks first; its hash is the run's identity and is in every header and certificate.
type Manifest struct {
	Version   int      `json:"version"`
	Name      string   `json:"name"`
	Seed      uint64   `json:"seed"`
	Owner     PeerID   `json:"owner"`
	Committee []PeerID `json:"committee"` // who certifies, q of them: see Quorum
	Method    string   `json:"method"`
	Codec     string   `json:"codec"`
	Topology  Topology `json:"topology"`
	Schedule  Schedule `json:"schedule"`

	Parameters uint64 `json:"parameters"`
	LayoutHash Hash   `json:"layout"`     // names, shapes and fragments of the tensors
	FirstRoot  Hash   `json:"first_root"` // root of the shared state before the first step: equal starts are checked
	FirstCID   string `json:"first_cid"`  // the checkpoint whose parameters those are; empty: they follow from the seed
	DataHash   Hash   `json:"data"`       // the token shards' manifest
	DataCID    string `json:"data_cid"`   // the folder of the token shards on IPFS; empty: they are not handed out
	RecipeHash Hash   `json:"recipe"`     // what the machines of the run share of the run file

	BatchSize uint64 `json:"batch_size"` // sequences per worker and inner step
	SeqLen    uint64 `json:"seq_len"`    // tokens per sequence
	Sequences uint64 `json:"sequences"`  // training sequences in an epoch

	MinPeers     int    `json:"min_peers"`
	Deadline     Millis `json:"deadline_ms"`
	Grace        Millis `json:"grace_ms"`      // a round with MinPeers in waits no longer than that for the others; 0: until the deadline
	MaxStaleness Seq    `json:"max_staleness"` // above 0 the run is asynchronous, see Async
}

// Async says whether workers train on without waiting for one another: every round counts one contribution, as they come,
// which may count from a state of up to MaxStaleness rounds before. The schedule's steps are then those of all workers together.
func (m *Manifest) Async() bool { return m.MaxStaleness > 0 }

const (
	manifestVersion = 1
	manifestDomain  = "skein/manifest/1\x00"
	maxManifest     = 256 << 10
	maxCommittee    = 7
	maxSteps        = 1 << 30 // with the two below it keeps every count of tokens and every cursor far from 2⁶⁴
	maxEvery        = 1 << 20
	maxBatch        = 1 << 20 // sequences, and tokens of one
	maxStaleness    = 1e6     // rounds
	maxName         = 128     // bytes of name, method, codec and data_cid, each
)

// Encode returns the canonical bytes: compact JSON in the order of the fields.
func (m *Manifest) Encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return b
}

// Hash is the run's identity.
func (m *Manifest) Hash() Hash { return sha256.Sum256(m.Encode()) }

// SignedManifest is a manifest with its owner's signature.
type SignedManifest struct {
	Manifest
	Signature Signature
}

// SignManifest signs a manifest; m.Owner is set to the signer.
func (s Signer) SignManifest(m Manifest) SignedManifest {
	m.Version, m.Owner = manifestVersion, s.ID
	return SignedManifest{Manifest: m, Signature: s.Sign(manifestDomain, m.Encode())}
}

// Encode returns the signature ‖ the manifest's bytes.
func (s *SignedManifest) Encode() []byte { return append(s.Signature[:], s.Manifest.Encode()...) }

// DecodeManifest reads a signed manifest from hostile bytes and checks form, limits and the owner's signature.
func DecodeManifest(b []byte) (SignedManifest, error) {
	var s SignedManifest
	if len(b) < len(s.Signature) || len(b) > maxManifest {
		return s, fmt.Errorf("%w: manifest of %d bytes", ErrMalformed, len(b))
	}
	copy(s.Signature[:], b)
	body := b[len(s.Signature):]
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&s.Manifest); err != nil {
		return s, fmt.Errorf("%w: manifest: %v", ErrMalformed, err)
	}
	if !bytes.Equal(s.Manifest.Encode(), body) {
		return s, fmt.Errorf("%w: manifest is not in its canonical form", ErrMalformed)
	}
	if err := s.Validate(); err != nil {
		return s, err
	}
	if !s.Owner.Verify(manifestDomain, body, s.Signature) {
		return s, fmt.Errorf("%w: manifest is not signed by its owner %v", ErrMalformed, s.Owner)
	}
	return s, nil
}

// Validate reports the first rule that the manifest breaks.
func (m *Manifest) Validate() error {
	s := m.Schedule
	switch {
	case m.Version != manifestVersion:
		return fmt.Errorf("%w: manifest version %d, this program reads %d", ErrMalformed, m.Version, manifestVersion)
	case len(m.Committee) == 0 || len(m.Committee) > maxCommittee || repeats(m.Committee):
		return fmt.Errorf("%w: manifest: committee of %d, or one key twice", ErrMalformed, len(m.Committee))
	case s.Every == 0 || s.Every > maxEvery || s.Fragments == 0 || s.Every%s.Fragments != 0 || s.Delay > s.Every || s.Steps < s.Stride() || s.Steps > maxSteps:
		return fmt.Errorf("%w: manifest: schedule %+v", ErrMalformed, s)
	case m.BatchSize == 0 || m.BatchSize > maxBatch || m.SeqLen == 0 || m.SeqLen > maxBatch || m.Sequences == 0 || m.Parameters == 0:
		return fmt.Errorf("%w: manifest: sizes out of range", ErrMalformed)
	case max(len(m.Name), len(m.Method), len(m.Codec), len(m.FirstCID), len(m.DataCID)) > maxName:
		return fmt.Errorf("%w: manifest: a name of more than %d bytes", ErrMalformed, maxName)
	case m.Topology != All && m.Topology != Pair:
		return fmt.Errorf("%w: manifest: topology %q", ErrMalformed, m.Topology)
	case m.Topology == Pair && (s.Fragments != 1 || s.Delay != 0 || m.Async()): // who meets whom must be known when a round departs
		return fmt.Errorf("%w: manifest: a run of pairs with %d fragments, a delay of %d steps, max_staleness %d", ErrMalformed, s.Fragments, s.Delay, m.MaxStaleness)
	case m.Async() && (s.Fragments != 1 || s.Delay != 0):
		return fmt.Errorf("%w: manifest: an asynchronous run with %d fragments and a delay of %d steps", ErrMalformed, s.Fragments, s.Delay)
	case m.MaxStaleness > maxStaleness:
		return fmt.Errorf("%w: manifest: max_staleness %d, at most %d allowed", ErrMalformed, m.MaxStaleness, uint64(maxStaleness))
	case m.MinPeers < 1 || m.Deadline == 0:
		return fmt.Errorf("%w: manifest: min_peers %d, deadline %d ms: both must be positive", ErrMalformed, m.MinPeers, m.Deadline)
	}
	return nil
}

func repeats(ps []PeerID) bool {
	seen := map[PeerID]bool{}
	for _, p := range ps {
		seen[p] = true
	}
	return len(seen) < len(ps)
}

// Quorum is the number of committee signatures that make a certificate: ⌊(n+f)/2⌋+1 with f = ⌊(n−1)/3⌋ faulty members.
func (m *Manifest) Quorum() int {
	n := len(m.Committee)
	return (n+(n-1)/3)/2 + 1
}

// Share is the number of sequences that round n reserves for each worker of the roster.
func (m *Manifest) Share(n Seq) uint64 { return m.Schedule.Period(n) * m.BatchSize }

// Genesis is the first entry of the log: it admits the first workers, in the order of the slots 0, 1, 2, ….
func (m *Manifest) Genesis(workers []PeerID) Body {
	b := Body{Kind: Genesis, Run: m.Hash(), BaseRoot: m.FirstRoot, Beacon: m.firstBeacon()}
	for i, p := range workers {
		b.Joined = append(b.Joined, Admitted{Slot: Slot(i), Peer: p})
	}
	return b
}

func (m *Manifest) firstBeacon() Hash {
	w := writer{[]byte("skein/beacon/0\x00")}
	w.u64(m.Seed)
	w.raw(m.FirstRoot[:])
	return sha256.Sum256(w.b)
}

// MarshalText writes hex.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads hex.
func (h *Hash) UnmarshalText(b []byte) error { return unhex(h[:], b) }

// MarshalText writes hex.
func (p PeerID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, p[:]), nil }

// UnmarshalText reads hex.
func (p *PeerID) UnmarshalText(b []byte) error { return unhex(p[:], b) }

func unhex(dst, text []byte) error {
	if hex.DecodedLen(len(text)) != len(dst) {
		return errors.New("64 hex digits expected")
	}
	_, err := hex.Decode(dst, text)
	return err
}
