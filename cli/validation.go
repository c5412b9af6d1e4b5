package cli

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/shards"
)

func newDataValidationCommand() *cobra.Command {
	var path string
	cmd := newDataVerb("validation", "write the validation sequences as a NumPy array, for other programs to evaluate on",
		func(cmd *cobra.Command, c configs.Config, _ string) (err error) {
			out := newConsole(cmd.OutOrStdout())
			made, err := prepareCorpus(cmd.Context(), c, runsDir(cmd), out)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, made.close()) }()
			data := made.data
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
			if err != nil {
				return err
			}
			if err := errors.Join(writeValidation(f, data), f.Close()); err != nil {
				return errors.Join(err, os.Remove(path))
			}
			out.line("%s: int32, %d sequences of %d tokens and the one that follows", path, data.Validations(), data.SeqLen())
			return nil
		})
	cmd.Flags().StringVarP(&path, "out", "o", "validation.npy", "file to write; it must not exist")
	return cmd
}

// writeValidation writes the whole split as an int32 array [sequences, seq_len+1] in NumPy's format 1.0, in the
// order in which a run evaluates it.
func writeValidation(w io.Writer, data shards.Source) error {
	out := bufio.NewWriter(w)
	shape := fmt.Sprintf("{'descr': '<i4', 'fortran_order': False, 'shape': (%d, %d), }", data.Validations(), data.SeqLen()+1)
	const before = len("\x93NUMPY") + 2 + 2
	shape += strings.Repeat(" ", 63-(before+len(shape))%64) + "\n" // the array begins at a multiple of 64 bytes
	_, _ = out.WriteString("\x93NUMPY\x01\x00")                    // a bufio.Writer keeps its first error for Flush
	_ = binary.Write(out, binary.LittleEndian, uint16(len(shape)))
	_, _ = out.WriteString(shape)
	sequence := make([]int32, data.SeqLen()+1)
	for i := range data.Validations() {
		if err := data.Validation(sequence, i); err != nil {
			return err
		}
		_ = binary.Write(out, binary.LittleEndian, sequence)
	}
	return out.Flush()
}
