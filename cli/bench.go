package cli

import "github.com/spf13/cobra"

func newBenchCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "bench", Short: "measure what this machine makes of a run"}
	cmd.AddCommand(newBenchEngineCommand(), newBenchCodecCommand())
	return cmd
}
