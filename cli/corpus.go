package cli

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path/filepath"

	"github.com/dustin/go-humanize"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

// shardsDir is where the token shards of a corpus are kept, beside the runs that read them.
func shardsDir(runs string, d configs.Data) string {
	sum := sha256.Sum256([]byte(d.Source))
	return filepath.Join(runs, ".shards", d.Tokenizer+"-"+hex.EncodeToString(sum[:4]))
}

// openData makes the run's token shards if they are not there yet, and opens them. The hash names the tokens.
func openData(ctx context.Context, c configs.Config, runs string, out *console) (*shards.Dataset, aggregator.Hash, error) {
	dir := shardsDir(runs, c.Data)
	m, err := shards.Prepare(ctx, shards.Spec{Source: c.Data.Source, Tokenizer: c.Data.Tokenizer}, dir, func(done, total int64) {
		out.update("tokenizing %s: %s of %s", c.Data.Source, humanize.Bytes(uint64(done)), humanize.Bytes(uint64(total)))
	})
	out.update("")
	if err != nil {
		return nil, aggregator.Hash{}, err
	}
	b, err := json.Marshal(m)
	if err != nil {
		return nil, aggregator.Hash{}, err
	}
	data, err := shards.Open(dir, shards.Options{SeqLen: c.Data.SeqLen, Seed: c.Seed, ValFraction: c.Data.ValFraction})
	return data, sha256.Sum256(b), err
}
