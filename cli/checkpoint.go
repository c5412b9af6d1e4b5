package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
)

// maxLocal bounds what is read of a checkpoint that this machine stored itself, in bytes.
const maxLocal = 1 << 40

// checkpoints is the list of a run's checkpoints.
func (d runDir) checkpoints() string { return filepath.Join(string(d), "checkpoints.jsonl") }

func newCheckpointCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "checkpoint",
		Short: "list, fetch, verify, serve and pin checkpoints",
		Long:  "A checkpoint is a folder that transformers loads as it is, under an IPFS content identifier (CID). These verbs work beside a run too.",
	}
	cmd.AddCommand(newCheckpointListCommand(), newCheckpointGetCommand(), newCheckpointVerifyCommand(), newCheckpointServeCommand(), newCheckpointPinCommand())
	return cmd
}

func newCheckpointListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "ls [RUN]",
		Short: "list the checkpoints of a run, or of all runs",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirs, err := runDirs(runsDir(cmd), args)
			if err != nil {
				return err
			}
			list, err := listCheckpoints(cmd.Context(), dirs)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, list)
			}
			return printCheckpoints(cmd, list)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func newCheckpointVerifyCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify RUN|CID",
		Short: "check a checkpoint from its blocks to its signatures",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			from, cid, err := findCheckpoint(cmd.Context(), runsDir(cmd), args[0])
			if err != nil {
				return err
			}
			report, failed := checkpoint.Verify(cmd.Context(), from, cid, maxLocal)
			if asJSON {
				return errors.Join(failed, printJSON(cmd, report))
			}
			return errors.Join(failed, printReport(cmd, report, failed))
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

// runDirs are the folders of the named run, or of all runs that have checkpoints.
func runDirs(runs string, names []string) ([]runDir, error) {
	var out []runDir
	for _, name := range names {
		d := runDir(filepath.Join(runs, name))
		if _, err := os.Stat(string(d)); err != nil {
			return nil, fmt.Errorf("there is no run %q in %s; see: skein checkpoint ls", name, runs)
		}
		out = append(out, d)
	}
	if len(names) > 0 {
		return out, nil
	}
	found, err := filepath.Glob(filepath.Join(runs, "*", "checkpoints.jsonl"))
	for _, f := range found {
		out = append(out, runDir(filepath.Dir(f)))
	}
	return out, err
}

// listedCheckpoint is a line of `checkpoint ls`.
type listedCheckpoint struct {
	Run string `json:"run"`
	checkpoint.Record
	Kept  bool  `json:"kept"`            // whether it is still in the run's store
	Bytes int64 `json:"bytes,omitempty"` // of its files, if it is kept
}

func listCheckpoints(ctx context.Context, dirs []runDir) ([]listedCheckpoint, error) {
	out := []listedCheckpoint{}
	for _, d := range dirs {
		records, err := checkpoint.OpenIndex(d.checkpoints()).Records()
		if err != nil {
			return nil, err
		}
		for _, r := range records {
			l := listedCheckpoint{Run: filepath.Base(string(d)), Record: r}
			if l.Bytes, err = storedSize(ctx, d, r.CID); err == nil {
				l.Kept = true
			} else if !errors.Is(err, checkpoint.ErrNotFound) {
				return nil, fmt.Errorf("%s: %w", d, err)
			}
			out = append(out, l)
		}
	}
	return out, nil
}

// storedSize is the size in bytes of the files of a checkpoint in a run's store.
func storedSize(ctx context.Context, d runDir, cid string) (int64, error) {
	from, err := ipfs.OpenSource(d.ipfs())
	if err != nil {
		return 0, err
	}
	folder, err := from.Open(ctx, cid)
	if err != nil {
		return 0, err
	}
	return folderSize(folder)
}

func folderSize(folder fs.FS) (total int64, err error) {
	err = fs.WalkDir(folder, ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return total, err
}

// findCheckpoint finds what a person means: the newest checkpoint of a run, or a CID in any run's store.
func findCheckpoint(ctx context.Context, runs, name string) (checkpoint.Source, string, error) {
	if _, err := os.Stat(filepath.Join(runs, name)); err == nil {
		return newestCheckpoint(runDir(filepath.Join(runs, name)))
	}
	stranger := func(err error) error {
		return fmt.Errorf("%q is neither a run in %s nor a checkpoint of one (see: skein checkpoint ls): %w", name, runs, err)
	}
	dirs, err := runDirs(runs, nil)
	if err != nil {
		return nil, "", err
	}
	for _, d := range dirs {
		from, err := ipfs.OpenSource(d.ipfs())
		if err != nil {
			continue // the run has no store yet
		}
		_, err = from.Open(ctx, name)
		if err == nil {
			return from, name, nil
		}
		if !errors.Is(err, checkpoint.ErrNotFound) {
			return nil, "", stranger(err)
		}
	}
	return nil, "", stranger(checkpoint.ErrNotFound)
}

func newestCheckpoint(d runDir) (checkpoint.Source, string, error) {
	records, err := checkpoint.OpenIndex(d.checkpoints()).Records()
	if err != nil {
		return nil, "", err
	}
	if len(records) == 0 {
		return nil, "", fmt.Errorf("%w: %s has no checkpoint yet: one is made every checkpoint.every rounds and at the end", checkpoint.ErrNotFound, d)
	}
	from, err := ipfs.OpenSource(d.ipfs())
	return from, records[len(records)-1].CID, err
}

func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func printCheckpoints(cmd *cobra.Command, list []listedCheckpoint) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), "no checkpoints yet")
		return err
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tROUND\tSTEP\tLOSS\tSIZE\tMADE\tCID")
	for _, l := range list {
		loss, size := "-", "collected"
		if l.Loss != nil {
			loss = fmt.Sprintf("%.4f", *l.Loss)
		}
		if l.Kept {
			size = humanize.IBytes(uint64(l.Bytes))
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%s\t%s\t%s\t%s\n", l.Run, l.Seq, l.Step, loss, size, l.Time.Local().Format("2006-01-02 15:04:05"), l.CID)
	}
	return w.Flush()
}

func printReport(cmd *cobra.Command, r *checkpoint.Report, failed error) error {
	var b strings.Builder
	fmt.Fprintf(&b, "checkpoint %s\n", r.CID)
	if r.Name != "" {
		fmt.Fprintf(&b, "run %s (%s), round %d, step %d, %s parameters, %s in %d blocks\n",
			r.Name, r.Run.Short(), r.Seq, r.Step, humanize.Comma(int64(r.Parameters)), humanize.IBytes(uint64(r.Bytes)), r.Blocks)
	}
	for _, s := range r.Passed {
		fmt.Fprintf(&b, "  ok           %s\n", s)
	}
	if failed != nil {
		fmt.Fprintf(&b, "  FAILED       %v\n", failed)
	}
	for _, s := range r.NotChecked {
		fmt.Fprintf(&b, "  not checked  %s\n", s)
	}
	_, err := fmt.Fprint(cmd.OutOrStdout(), b.String())
	return err
}
