package checkpoint

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/skein-train/skein/aggregator"
)

// ErrForged is wrapped by every error of Verify about a checkpoint whose parts contradict each other or their signatures.
var ErrForged = errors.New("checkpoint does not verify")

// Report says what Verify checked, and what it could not.
type Report struct {
	CID        string          `json:"cid,omitempty"`
	Blocks     int             `json:"blocks,omitempty"`
	Bytes      int64           `json:"bytes,omitempty"` // stored, each block once
	Run        aggregator.Hash `json:"run"`
	Name       string          `json:"name"`
	Owner      aggregator.Hash `json:"owner"` // Ed25519 public key
	Seq        aggregator.Seq  `json:"seq"`
	Step       uint64          `json:"step"`
	Root       aggregator.Hash `json:"root"`
	Parameters uint64          `json:"parameters"`
	Passed     []string        `json:"passed"`
	NotChecked []string        `json:"not_checked"`
}

func (r *Report) pass(format string, args ...any) {
	r.Passed = append(r.Passed, fmt.Sprintf(format, args...))
}

// Verify checks a checkpoint in a source from the blocks up. On an error the report holds the checks that passed before
// it. maxBytes is as in Read.
func Verify(ctx context.Context, from Source, cid string, maxBytes int64) (*Report, error) {
	r := &Report{CID: cid}
	used, err := from.Verify(ctx, cid)
	if err != nil {
		return r, err
	}
	r.Blocks, r.Bytes = used.Blocks, used.Bytes
	r.pass("%d blocks match their CIDs", used.Blocks)
	folder, err := from.Open(ctx, cid)
	if err != nil {
		return r, err
	}
	c, err := Read(folder, maxBytes)
	if err != nil {
		return r, err
	}
	return r, r.check(c)
}

// Check is Verify for a checkpoint that was read from elsewhere, from a plain folder say.
func Check(c *Checkpoint) (*Report, error) {
	r := &Report{}
	return r, r.check(c)
}

// check fills the report; Read has checked the manifest's signature and the layout.
func (r *Report) check(c *Checkpoint) error {
	m := &c.Manifest.Manifest
	r.Run, r.Name, r.Owner, r.Seq, r.Step, r.Root, r.Parameters = m.Hash(), m.Name, aggregator.Hash(m.Owner), c.Seq, c.Step, c.Root, m.Parameters
	r.pass("the manifest of run %s is signed by its owner", r.Run.Short())
	r.pass("the tensors' names, shapes and fragments are the manifest's")
	if sha256.Sum256(c.Recipe) != m.RecipeHash {
		return fmt.Errorf("%w: %s is not the recipe that the manifest names", ErrForged, fileRecipe)
	}
	r.pass("%s is the recipe that the manifest names", fileRecipe)
	chain := aggregator.NewChain(m)
	for _, cert := range c.Certificates {
		if err := chain.Add(cert); err != nil {
			return fmt.Errorf("%w: %w", ErrForged, err)
		}
	}
	if chain.Tip() == nil || chain.Tip().Seq < c.Seq {
		return fmt.Errorf("%w: the certificates end before round %d", ErrForged, c.Seq)
	}
	r.pass("%d certificates follow from each other, each signed by %d of %d", len(c.Certificates), m.Quorum(), len(m.Committee))
	if got := aggregator.Root(c.Layout.Fragments(), c.Anchor, c.Outer); got != c.Root {
		return fmt.Errorf("%w: the state's root is %s, %s says %s", ErrForged, got.Short(), fileState, c.Root.Short())
	}
	r.pass("parameters and outer state hash to root %s", c.Root.Short())
	if err := r.certified(c); err != nil {
		return err
	}
	r.NotChecked = append(r.NotChecked,
		"that the state follows from the contributions: replay the log to check it",
		"config.json, the tokenizer's files, and the step and parent in "+fileState+": only the CID vouches for them")
	return nil
}

// certified looks for a certificate of the checkpoint's own root: one that counts from it.
func (r *Report) certified(c *Checkpoint) error {
	if c.Seq == 0 {
		if c.Root != c.Manifest.FirstRoot {
			return fmt.Errorf("%w: the run starts from root %s, this is %s", ErrForged, c.Manifest.FirstRoot.Short(), c.Root.Short())
		}
		r.pass("root %s is the first one of the manifest", c.Root.Short())
		return nil
	}
	for _, cert := range c.Certificates[1:] {
		if cert.Base != c.Seq || cert.BaseRoot == (aggregator.Hash{}) { // an empty round knows no root
			continue
		}
		if cert.BaseRoot != c.Root {
			return fmt.Errorf("%w: certificate %d has root %s after round %d, this is %s", ErrForged, cert.Seq, cert.BaseRoot.Short(), c.Seq, c.Root.Short())
		}
		r.pass("certificate %d certifies root %s", cert.Seq, c.Root.Short())
		return nil
	}
	r.NotChecked = append(r.NotChecked,
		fmt.Sprintf("that the committee agrees with root %s: only the first certificate that counts from round %d says so, and it is not in this checkpoint", c.Root.Short(), c.Seq))
	return nil
}
