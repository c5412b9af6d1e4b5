package cli

import "github.com/spf13/cobra"

func newBenchCommand() *cobra.Command {
	var f benchFlags
	cmd := &cobra.Command{
		Use:   "bench FILE",
		Short: "compare methods over a matrix of runs, or measure what this machine makes of one",
		Long: "bench trains every run of a bench file, a matrix of methods, codecs, numbers of workers and seeds, with all workers in this process, and works out\n" +
			"what each would take at several bandwidths. A bench that was interrupted goes on where it stopped.",
		Example: "  skein bench configs/bench/quick.yaml\n  skein bench engine",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().BoolVar(&f.json, "json", false, "print the outcomes as JSON on standard output; progress goes to standard error")
	cmd.Flags().BoolVar(&f.fresh, "fresh", false, "train again what has been trained before")
	cmd.AddCommand(newBenchEngineCommand(), newBenchCodecCommand(), newBenchLinkCommand())
	return cmd
}
