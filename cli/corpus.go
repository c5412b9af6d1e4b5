package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

// shardsDir is where the token shards of a corpus are kept, beside the runs that read them.
func shardsDir(runs string, d configs.Data) string {
	sum := sha256.Sum256([]byte(d.Source))
	return filepath.Join(runs, ".shards", d.Tokenizer+"-"+hex.EncodeToString(sum[:4]))
}

// corpus is the run's token shards: those of this machine, or streamed from peers.
type corpus struct {
	dir      string // where their files are; empty if they are streamed
	cid      string // of their folder on IPFS
	manifest *shards.Manifest
	data     *shards.Dataset
}

// prepareCorpus makes the run's token shards if they are not there yet, and opens them.
func prepareCorpus(ctx context.Context, c configs.Config, runs string, out *console) (*corpus, error) {
	dir := shardsDir(runs, c.Data)
	m, err := shards.Prepare(ctx, shards.Spec{Source: c.Data.Source, Tokenizer: c.Data.Tokenizer}, dir, func(done, total int64) {
		out.update("tokenizing %s: %s of %s", c.Data.Source, humanize.Bytes(uint64(done)), humanize.Bytes(uint64(total)))
	})
	out.update("")
	if err == nil {
		err = fitsModel(c, m)
	}
	if err != nil {
		return nil, err
	}
	data, err := shards.Open(dir, streamOf(c))
	return &corpus{dir: dir, manifest: m, data: data}, err
}

// fitsModel refuses token shards with ids that the model has no embedding for: kernels do not look.
func fitsModel(c configs.Config, m *shards.Manifest) error {
	if rows := modelOf(c, vocabOf(c)).VocabSize; m.Vocab > rows {
		return fmt.Errorf("the token shards of %s have %d token ids (tokenizer %s), model.vocab_size is %d with data.tokenizer %s: the tokens must be made anew, or the model larger",
			m.Corpus, m.Vocab, m.Tokenizer, rows, c.Data.Tokenizer)
	}
	return nil
}

// streamOf says how the tokens are cut and ordered.
func streamOf(c configs.Config) shards.Options {
	return shards.Options{SeqLen: c.Data.SeqLen, Seed: c.Seed, ValFraction: c.Data.ValFraction}
}

// files are the paths of what is handed out to joiners, within dir.
func (c *corpus) files() []string {
	out := []string{shards.ManifestName}
	for _, s := range c.manifest.Shards {
		out = append(out, s.File)
	}
	return out
}

func (c *corpus) close() error {
	if c.data == nil {
		return nil
	}
	return c.data.Close()
}
