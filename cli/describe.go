package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
)

// shareData makes the token shards a folder of IPFS blocks that joiners fetch from. The store is closed again: it goes
// online with the committee's peer, which needs the manifest, which names the folder.
func (s *session) shareData(ctx context.Context) error {
	store, err := ipfs.Open(ctx, s.dir.ipfs(), ipfs.Options{})
	if err != nil {
		return err
	}
	s.corpus.cid, err = store.AddDir(ctx, dataPin, s.corpus.dir, s.corpus.files())
	return errors.Join(err, store.Close())
}

// dataPin is the name under which the token shards are pinned.
const dataPin = "data"

// recallManifest reads the manifest that an earlier life of the run signed, if there was one.
func (s *session) recallManifest(context.Context) error {
	b, err := os.ReadFile(s.dir.manifest())
	if errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	if s.manifest, err = aggregator.DecodeManifest(b); err != nil {
		return fmt.Errorf("%s: %w", s.dir.manifest(), err)
	}
	if s.manifest.DataHash != s.corpus.manifest.Hash() {
		return fmt.Errorf("data.source %s holds another text than when the run was started", s.cfg.Data.Source)
	}
	return nil
}

// openManifest signs the manifest of a new run and writes it down.
func (s *session) openManifest(context.Context) error {
	if s.manifest.Version > 0 { // recalled
		return nil
	}
	owner, _, err := s.key(seatName)
	if err != nil {
		return err
	}
	s.manifest = owner.SignManifest(s.describe(owner.ID))
	if err := s.manifest.Validate(); err != nil {
		return err
	}
	return writeFile(s.dir.manifest(), s.manifest.Encode())
}

// describe is the manifest of a new run.
func (s *session) describe(committee aggregator.PeerID) aggregator.Manifest {
	c := s.cfg
	anchor := make(gradients.Vec, s.layout.Len())
	s.workers[0].replica.Read(anchor, gradients.Fragment{Hi: len(anchor)})
	fragments := s.layout.Fragments()
	slots := s.method.Outer(s.layout, fragments[0]).Slots()
	first := aggregator.NewState(anchor, slots, 0, false)
	m := terms(c)
	m.Committee = []aggregator.PeerID{committee}
	m.Parameters, m.LayoutHash = uint64(len(anchor)), aggregator.LayoutHash(s.layout)
	m.FirstRoot = aggregator.Root(fragments, first.Anchor, first.Outer)
	m.FirstCID = s.first.cid
	m.DataHash, m.DataCID, m.Sequences = s.corpus.manifest.Hash(), s.corpus.cid, s.corpus.data.Windows()
	return m
}

// terms are the parts of a manifest that follow from the run file alone. A joiner compares them with the recipe.
func terms(c configs.Config) aggregator.Manifest {
	return aggregator.Manifest{
		Name: c.Name, Seed: c.Seed, Method: c.Outer.Method, Codec: c.Sync.Codec, Topology: aggregator.Topology(c.Sync.Topology), Schedule: scheduleOf(c), RecipeHash: sha256.Sum256(c.Recipe()),
		BatchSize: uint64(c.Train.BatchSize), SeqLen: uint64(c.Data.SeqLen),
		MinPeers: c.Sync.MinPeers, Deadline: aggregator.Millis(c.Sync.Deadline.Milliseconds()), Grace: aggregator.Millis(c.Sync.Grace.Milliseconds()), MaxStaleness: aggregator.Seq(c.Sync.MaxStaleness),
	}
}
