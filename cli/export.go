package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/car"
)

func newExportCommand() *cobra.Command {
	var form, out string
	cmd := &cobra.Command{
		Use:   "export RUN|CID",
		Short: "write a checkpoint for other programs: a Hugging Face folder or a CAR file",
		Long: "Write the newest checkpoint of a run, or the one of a CID, for other programs:\n" +
			"  hf   the folder that transformers loads (so does: skein checkpoint get)\n" +
			"  car  one file with all its blocks, for `ipfs dag import` and pinning services\n" +
			"Every block is checked against its CID on the way. What is written appears whole or not at all.",
		Example: "  skein export tiny --to hf -o model\n  skein export tiny --to car -o model.car",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, ok := map[string]exporter{"hf": exportFolder, "car": exportCAR}[form]
			if !ok {
				return fmt.Errorf("--to %q: it is hf or car", form)
			}
			from, cid, err := findCheckpoint(cmd.Context(), runsDir(cmd), args[0])
			if err != nil {
				return err
			}
			return export(cmd, from, cid, out, write)
		},
	}
	cmd.Flags().StringVar(&form, "to", "hf", "form: hf or car")
	cmd.Flags().StringVarP(&out, "out", "o", "", "folder or file to write; it must not exist (named after the CID if absent)")
	return cmd
}

// exporter writes the checkpoint of a CID to a path, or to one that it chooses if the path is empty, and returns where
// it wrote. done is told the bytes written so far.
type exporter func(ctx context.Context, from checkpoint.Source, folder fs.FS, cid, path string, done func(bytes int64)) (string, error)

// export writes a checkpoint and shows how far it is.
func export(cmd *cobra.Command, from checkpoint.Source, cid, path string, write exporter) error {
	ctx, out := cmd.Context(), newConsole(cmd.OutOrStdout())
	folder, err := from.Open(ctx, cid)
	if err != nil {
		return err
	}
	size, err := folderSize(folder)
	if err != nil {
		return err
	}
	total := humanize.IBytes(uint64(size))
	path, err = write(ctx, from, folder, cid, path, func(bytes int64) {
		out.update("writing checkpoint %s: %s of %s", cid, humanize.IBytes(uint64(bytes)), total)
	})
	out.update("")
	if err != nil {
		return err
	}
	out.line("%s: %s of checkpoint %s", path, total, cid)
	return nil
}

func exportFolder(ctx context.Context, _ checkpoint.Source, folder fs.FS, cid, path string, done func(int64)) (string, error) {
	if path == "" {
		path = cid
	}
	return path, checkpoint.Export(ctx, &watchedFS{FS: folder, done: done}, path, maxLocal)
}

func exportCAR(ctx context.Context, from checkpoint.Source, _ fs.FS, cid, path string, done func(int64)) (string, error) {
	blocks, ok := from.(car.Blocks)
	if !ok {
		return "", errors.New("this store hands out no blocks")
	}
	if path == "" {
		path = cid + ".car"
	}
	return path, car.Export(ctx, blocks, cid, path, done)
}

// watchedFS tells how many bytes were read out of all its files. One goroutine reads them.
type watchedFS struct {
	fs.FS
	done func(bytes int64)
	read int64
}

// Open implements fs.FS.
func (w *watchedFS) Open(name string) (fs.File, error) {
	f, err := w.FS.Open(name)
	if _, folder := f.(fs.ReadDirFile); err != nil || folder {
		return f, err
	}
	return watchedFile{f, w}, nil
}

type watchedFile struct {
	fs.File
	in *watchedFS
}

func (f watchedFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	f.in.read += int64(n)
	f.in.done(f.in.read)
	return n, err
}
