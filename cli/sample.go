package cli

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
)

const defaultPrompt = "The "

type sampleOptions struct {
	prompt      string
	tokens      int
	temperature float64
	topK        int
	seed        uint64
}

func newSampleCommand() *cobra.Command {
	var o sampleOptions
	cmd := &cobra.Command{
		Use:     "sample RUN|CID",
		Short:   "let a trained model write",
		Example: "  skein sample tiny --prompt \"The history of\"",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, anchor, err := loadModel(cmd.Context(), runsDir(cmd), args[0])
			if err != nil {
				return err
			}
			text, err := sampleText(cmd.Context(), c, anchor, o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), text)
			return err
		},
	}
	cmd.Flags().StringVar(&o.prompt, "prompt", defaultPrompt, "text to continue")
	cmd.Flags().IntVar(&o.tokens, "tokens", 200, "tokens to write")
	cmd.Flags().Float64Var(&o.temperature, "temperature", 0.7, "0 takes the likeliest token")
	cmd.Flags().IntVar(&o.topK, "top-k", 40, "draw among the K likeliest tokens; 0 among all")
	cmd.Flags().Uint64Var(&o.seed, "seed", 1, "seed of the draws")
	return cmd
}

// sampleText continues the prompt with a model of the given parameters.
func sampleText(ctx context.Context, c configs.Config, params gradients.Vec, o sampleOptions) (string, error) {
	if o.tokens < 0 || o.temperature < 0 || math.IsNaN(o.temperature) || o.topK < 0 {
		return "", errors.New("--tokens, --temperature and --top-k must not be negative")
	}
	tokenizer, err := shards.NewTokenizer(c.Data.Tokenizer)
	if err != nil {
		return "", err
	}
	c.Train.BatchSize, c.Train.MicroBatchSize = 1, 1
	r, err := newReplica(c, 0, silence{vocab: tokenizer.Vocab(), seqLen: c.Data.SeqLen})
	if err != nil {
		return "", err
	}
	defer r.close()
	prompt := tokenizer.Append(nil, []byte(o.prompt))
	written := append([]int32(nil), prompt...)
	err = r.Generate(ctx, params, prompt, o.tokens, o.temperature, o.topK, o.seed, func(token int32) error {
		written = append(written, token)
		return nil
	})
	if err != nil {
		return "", err
	}
	text, err := tokenizer.Decode(written)
	return printable(text), err
}

// printable is text that a terminal can show: no control characters, no broken UTF-8.
func printable(b []byte) string {
	return strings.Map(func(r rune) rune {
		if r == utf8.RuneError || r < ' ' && r != '\n' && r != '\t' || r == 0x7f {
			return '·'
		}
		return r
	}, strings.ToValidUTF8(string(b), "·"))
}

// silence is a Source without data, for models that only write.
type silence struct{ vocab, seqLen int }

func (s silence) Sequence([]int32, uint64) error { return errors.New("a sampling model has no data") }
func (s silence) Validation([]int32, int) error  { return errors.New("a sampling model has no data") }
func (s silence) Validations() int               { return 0 }
func (s silence) Vocab() int                     { return s.vocab }
func (s silence) SeqLen() int                    { return s.seqLen }
