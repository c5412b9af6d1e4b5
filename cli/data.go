package cli

import (
	"fmt"
	"io"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

func newDataCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "data", Short: "prepare, verify and show the token shards of a run file"}
	cmd.AddCommand(
		newDataVerb("prepare", "make the token shards, or go on where an earlier call stopped", prepareData),
		newDataVerb("verify", "read every token shard and compare its hash with the manifest", verifyData),
		newDataVerb("show", "print what the token shards hold", showData),
		newDataValidationCommand(),
	)
	return cmd
}

// newDataVerb makes one verb; all take a run file and overrides, and act on the folder of its token shards.
func newDataVerb(name, short string, act func(cmd *cobra.Command, c configs.Config, dir string) error) *cobra.Command {
	return &cobra.Command{
		Use:     name + " FILE [KEY=VALUE …]",
		Short:   short,
		Example: "  skein data " + name + " configs/tiny.yaml",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := configs.Load(args[0], args[1:])
			if err != nil {
				return err
			}
			return act(cmd, c, shardsDir(runsDir(cmd), c.Data))
		},
	}
}

func prepareData(cmd *cobra.Command, c configs.Config, _ string) error {
	out := newConsole(cmd.OutOrStdout())
	made, err := prepareCorpus(cmd.Context(), c, runsDir(cmd), out)
	if err != nil {
		return err
	}
	out.line("%s training and %s validation sequences of %d tokens", humanize.Comma(int64(made.data.Windows())), humanize.Comma(int64(made.data.Validations())), c.Data.SeqLen)
	return made.close()
}

func verifyData(cmd *cobra.Command, _ configs.Config, dir string) error {
	out := newConsole(cmd.OutOrStdout())
	m, err := shards.Verify(cmd.Context(), dir, func(done, total int64) {
		out.update("verifying %s: %s of %s", dir, humanize.Bytes(uint64(done)), humanize.Bytes(uint64(total)))
	})
	out.update("")
	if err != nil {
		return err
	}
	out.line("%s: all %d token shards are as the manifest says", dir, len(m.Shards))
	return nil
}

func showData(cmd *cobra.Command, _ configs.Config, dir string) error {
	m, err := shards.ReadManifest(dir)
	if err != nil {
		return err
	}
	writeManifest(cmd.OutOrStdout(), dir, m)
	return nil
}

func writeManifest(w io.Writer, dir string, m *shards.Manifest) {
	fmt.Fprintf(w, "folder     %s\nsource     %s\ntokenizer  %s, %s tokens in the vocabulary\ntokens     %s in %d shards\n",
		dir, m.Corpus, m.Tokenizer, humanize.Comma(int64(m.Vocab)), humanize.Comma(int64(m.Tokens)), len(m.Shards))
	for _, in := range m.Inputs {
		fmt.Fprintf(w, "text       %s  %s bytes  sha256 %s\n", in.Name, humanize.Comma(in.Bytes), in.SHA256)
	}
	for _, s := range m.Shards {
		fmt.Fprintf(w, "shard      %s  %s tokens  sha256 %s\n", s.File, humanize.Comma(int64(s.Tokens)), s.SHA256)
	}
}
