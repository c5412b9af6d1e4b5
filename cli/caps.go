package cli

import (
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/swarm"
)

// capFlags are the flags of verbs that move checkpoints outside a run.
type capFlags struct{ up, down configs.Rate }

// add declares the flags; note, if not empty, is put in front of what they say.
func (f *capFlags) add(cmd *cobra.Command, note string) {
	cmd.Flags().Var(&f.up, "up", note+"most bytes sent per second, such as 2MB/s; 0 has no limit")
	cmd.Flags().Var(&f.down, "down", note+"most bytes received per second; 0 has no limit")
}

func (f *capFlags) caps() *swarm.Caps { return swarm.NewCaps(uint64(f.up), uint64(f.down)) }
