// Package checkpoint publishes the shared state of a run as a folder that Hugging Face's transformers loads as it is, with
// what a resume and a verifier need beside it, under one content identifier (CID). The folder lies in a Store of pinned
// folders; package ipfs is the real one. The bytes are in docs/wire.md, "Checkpoint folder and snapshots".
package checkpoint

import (
	"context"
	"fmt"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
)

// Checkpoint is the shared state after a round, and what it follows from.
type Checkpoint struct {
	Manifest     aggregator.SignedManifest
	Certificates []*aggregator.Certificate // from the genesis to round Seq at least
	Recipe       []byte                    // what the machines of the run share (configs.Recipe); only bytes to this package
	Model        configs.Model             // with its VocabSize and MaxPositions filled in
	Tokenizer    Tokenizer
	Layout       gradients.Layout
	Seq          aggregator.Seq  // the last round folded in
	Step         uint64          // inner steps behind it
	Anchor       gradients.Vec   // the outer parameters, float32
	Outer        []gradients.Vec // slots of the outer transform, each as long as Anchor
	Root         aggregator.Hash // Merkle root of Anchor and Outer
	Parent       string          // CID of the checkpoint before; empty if there is none
}

// The files of the folder. What transformers reads is at the top, what skein adds is below skein/.
const (
	fileConfig          = "config.json"
	fileGeneration      = "generation_config.json"
	fileModel           = "model.safetensors"
	fileTokenizer       = "tokenizer.json"
	fileTokenizerConfig = "tokenizer_config.json"
	fileCertificates    = "skein/certificates.bin"
	fileManifest        = "skein/manifest.bin"
	fileOuter           = "skein/outer.safetensors"
	fileRecipe          = "skein/recipe.json"
	fileState           = "skein/state.json"
)

// Validate reports the first part that does not fit the others. It hashes nothing: see Verify.
func (c *Checkpoint) Validate() error {
	if err := c.Layout.Validate(); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	n := c.Layout.Len()
	if len(c.Anchor) != n || uint64(n) != c.Manifest.Parameters {
		return fmt.Errorf("checkpoint: %d parameters, layout of %d, manifest of %d", len(c.Anchor), n, c.Manifest.Parameters)
	}
	for i, v := range c.Outer {
		if len(v) != n {
			return fmt.Errorf("checkpoint: outer slot %d of %d values, expected %d", i, len(v), n)
		}
	}
	if len(c.Certificates) <= int(c.Seq) {
		return fmt.Errorf("checkpoint: %d certificates for the genesis and %d rounds", len(c.Certificates), c.Seq)
	}
	if c.Model.VocabSize < 1 {
		return fmt.Errorf("checkpoint: the model's vocabulary size is %d", c.Model.VocabSize)
	}
	return nil
}

// Write stores the checkpoint, pins it and returns its CID. Same checkpoint, same CID. The vectors are streamed and must
// not change until Write returns.
func Write(ctx context.Context, s Store, c *Checkpoint) (cid string, err error) {
	files, err := c.files()
	if err != nil {
		return "", err
	}
	cid, err = s.Add(ctx, PinName(c.Manifest.Hash(), c.Seq), files)
	if err != nil {
		return "", fmt.Errorf("checkpoint of round %d: %w", c.Seq, err)
	}
	return cid, nil
}
