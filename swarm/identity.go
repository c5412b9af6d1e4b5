package swarm

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/internal/durable"
)

// LoadOrCreateSeed reads the 32-byte Ed25519 seed of an identity from a file, or makes one: random, mode 0600, written whole
// or not at all. The file is never changed afterwards: who loses it loses its seat in every run.
func LoadOrCreateSeed(path string) (seed [32]byte, err error) {
	b, err := os.ReadFile(path)
	switch {
	case err == nil && len(b) == len(seed):
		return [32]byte(b), nil
	case err == nil:
		return seed, fmt.Errorf("identity %s: %d bytes, a seed has %d: restore it from a backup, or remove it to start as a new peer", path, len(b), len(seed))
	case !errors.Is(err, fs.ErrNotExist):
		return seed, fmt.Errorf("identity: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return seed, fmt.Errorf("identity: %w", err)
	}
	_, _ = rand.Read(seed[:]) // never fails: see crypto/rand
	if err := durable.WriteFile(path, 0o600, durable.Name, seed[:]); err != nil {
		return seed, fmt.Errorf("identity: %w", err)
	}
	return seed, nil
}

// libp2pKey is the host's key for a seed: the same key that aggregator.NewSigner makes.
func libp2pKey(seed [32]byte) (crypto.PrivKey, error) {
	return crypto.UnmarshalEd25519PrivateKey(ed25519.NewKeyFromSeed(seed[:]))
}

// netID is a peer's name in libp2p.
func netID(p aggregator.PeerID) (peer.ID, error) {
	key, err := crypto.UnmarshalEd25519PublicKey(p[:])
	if err != nil {
		return "", err
	}
	return peer.IDFromPublicKey(key)
}

// peerID is the Ed25519 key inside a libp2p name. Peers with keys of another kind take no part in a run.
func peerID(id peer.ID) (p aggregator.PeerID, err error) {
	key, err := id.ExtractPublicKey()
	if err != nil {
		return p, err
	}
	raw, err := key.Raw()
	if err != nil {
		return p, err
	}
	if key.Type() != crypto.Ed25519 || len(raw) != len(p) {
		return p, fmt.Errorf("peer %s has no ed25519 key", id)
	}
	return aggregator.PeerID(raw), nil
}
