// Package cli holds the verbs, a file each, and is the only place where concrete parts are wired together.
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK          = 0
	exitFailed      = 1   // the error says why
	exitInterrupted = 130 // Ctrl+C: what was done is kept
)

// Main runs the program and returns its exit code.
func Main(args []string, out, errs io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl+C ends the program at once
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	switch err := root.ExecuteContext(ctx); {
	case err == nil:
		return exitOK
	case errors.Is(err, context.Canceled) && ctx.Err() != nil:
		fmt.Fprintln(errs, farewell(err))
		return exitInterrupted
	default:
		fmt.Fprintln(errs, "error:", err)
		return exitFailed
	}
}

// interrupted is the end by Ctrl+C of what another call can go on with.
type interrupted struct{ next string }

func (e interrupted) Error() string { return "stopped; go on with: " + e.next }
func (e interrupted) Unwrap() error { return context.Canceled }

// farewell is the last line after Ctrl+C.
func farewell(err error) string {
	if e := (interrupted{}); errors.As(err, &e) {
		return e.Error()
	}
	return "stopped."
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "skein",
		Short:         "train one language model on many machines that are far apart",
		Long:          "Skein trains one language model on many machines: each takes many steps alone, then they exchange a few bytes and agree on the result bit by bit.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().String("runs", defaultRuns, "folder that holds the runs")
	root.AddCommand(
		newRunCommand(),
		newJoinCommand(),
		newStatusCommand(),
		newSampleCommand(),
		newCheckpointCommand(),
		newExportCommand(),
		newConfigCommand(),
		newDataCommand(),
		newDoctorCommand(),
		newBenchCommand(),
		newCompareCommand(),
		newVersionCommand(),
	)
	teach(root)
	root.SetFlagErrorFunc(withUsage)
	return root
}

// teach has a command and those below it answer wrong arguments with their usage.
func teach(cmd *cobra.Command) {
	if check := cmd.Args; check != nil {
		cmd.Args = func(cmd *cobra.Command, args []string) error {
			if err := check(cmd, args); err != nil {
				return withUsage(cmd, err)
			}
			return nil
		}
	}
	for _, c := range cmd.Commands() {
		teach(c)
	}
}

func withUsage(cmd *cobra.Command, err error) error {
	hint := "usage: " + cmd.UseLine()
	if cmd.Example != "" {
		hint += "\nfor example:\n" + cmd.Example
	}
	return fmt.Errorf("%w\n%s", err, hint)
}

// runsDir is the value of the flag --runs.
func runsDir(cmd *cobra.Command) string {
	dir, _ := cmd.Flags().GetString("runs")
	return dir
}
