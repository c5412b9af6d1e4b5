package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
)

func newConfigCommand() *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "check, show and describe run files"}
	cmd.AddCommand(newConfigCheckCommand(), newConfigShowCommand(), newConfigSchemaCommand())
	return cmd
}

func newConfigCheckCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "check FILE [KEY=VALUE …]",
		Short:   "report every mistake in a run file, or say that there is none",
		Example: "  skein config check configs/tiny.yaml sync.every=40",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := configs.Load(args[0], args[1:])
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: run %s is valid\n", args[0], c.Name)
			return nil
		},
	}
}

func newConfigShowCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "show [FILE] [KEY=VALUE …]",
		Short: "print a run file with every key, as a run would see it; without FILE, the defaults",
		Long: "show prints the result of all four layers: the defaults, the file, the environment (SKEIN_SYNC_EVERY=40) and the\n" +
			"overrides (sync.every=40), each over the one before.",
		RunE: func(cmd *cobra.Command, args []string) error {
			c := configs.Default()
			if len(args) > 0 {
				var err error
				if c, err = configs.Load(args[0], args[1:]); err != nil {
					return err
				}
			}
			_, err := cmd.OutOrStdout().Write(c.Resolved())
			return err
		},
	}
}

func newConfigSchemaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "print the JSON Schema of run files, for editors",
		Long: "schema prints the JSON Schema of run files. Editors with a YAML language server complete and check keys with\n" +
			"  # yaml-language-server: $schema=skein.schema.json\n" +
			"on top of a run file.",
		Example: "  skein config schema > skein.schema.json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := configs.Schema()
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(s)
			return err
		},
	}
}
