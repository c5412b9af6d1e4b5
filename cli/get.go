package cli

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/swarm"
)

// fetchedDir holds what is being fetched from other machines, below the folder of the runs. No run has such a name.
const fetchedDir = ".fetched"

// getFlags are the flags of `checkpoint get`.
type getFlags struct {
	out, limit string
	from       []string
	limits     capFlags

	find        bool     // who has it, through a hash table
	introducers []string // to the table
}

func newCheckpointGetCommand() *cobra.Command {
	var f getFlags
	cmd := &cobra.Command{
		Use:   "get RUN|CID",
		Short: "write a checkpoint as a folder",
		Long: "Write a checkpoint as a folder that transformers loads: the newest of a run, or the one of a CID. Every block is checked against its CID on the way.\n" +
			"With --from or --find the blocks come from other machines, skein or any IPFS program; a call that was broken off goes on where it was.",
		Example: "  skein checkpoint get tiny --out model\n" +
			"  skein checkpoint get bafy… --from /ip4/192.0.2.1/tcp/4001/p2p/12D3KooW… --out model",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(f.from) > 0 || f.find {
				return f.fetch(cmd, args[0])
			}
			from, cid, err := findCheckpoint(cmd.Context(), runsDir(cmd), args[0])
			if err != nil {
				return err
			}
			return export(cmd, from, cid, f.out, exportFolder)
		},
	}
	cmd.Flags().StringVarP(&f.out, "out", "o", "", "folder to write; it must not exist (the CID if absent)")
	cmd.Flags().StringSliceVar(&f.from, "from", nil, "multiaddr, peer id included, of who has the checkpoint; may be repeated")
	cmd.Flags().StringVar(&f.limit, "limit", "100GB", "with --from or --find: the most bytes to fetch")
	cmd.Flags().BoolVar(&f.find, "find", false, "ask the public IPFS network who has the checkpoint")
	cmd.Flags().StringSliceVar(&f.introducers, "introducer", swarm.PublicDHT(), "multiaddr of a peer of the network that --find asks; may be repeated")
	_ = cmd.Flags().MarkHidden("introducer")
	f.limits.add(cmd, "with --from or --find: ")
	return cmd
}

// fetch brings the blocks of a CID here, writes the folder, and lets go of the blocks.
func (f getFlags) fetch(cmd *cobra.Command, cid string) (err error) {
	limit, err := humanize.ParseBytes(f.limit)
	if err != nil || limit > maxLocal {
		return fmt.Errorf("--limit %q: want a number of bytes such as 10GB", f.limit)
	}
	h, err := swarm.NewBareHost(nil, f.limits.caps())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if err := f.meet(cmd.Context(), h, cid); err != nil {
		return err
	}
	store, err := ipfs.Open(cmd.Context(), filepath.Join(runsDir(cmd), fetchedDir), ipfs.Options{Exchange: ipfs.Bitswap(h.Host())})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	out := newConsole(cmd.OutOrStdout())
	_, err = store.Fetch(cmd.Context(), cid, ipfs.FetchOptions{MaxBytes: int64(limit), Progress: func(done, total int64) {
		out.update("fetching checkpoint %s: %s of %s", cid, humanize.IBytes(uint64(done)), humanize.IBytes(uint64(total)))
	}})
	out.update("")
	if errors.Is(err, context.Canceled) {
		return interrupted{"the same command; what has come is kept"}
	}
	if err != nil {
		return err
	}
	if err := export(cmd, store, cid, f.out, exportFolder); err != nil {
		return err
	}
	return letGo(cmd.Context(), store, cid)
}

// meet connects to who has the checkpoint: those that the user names, else those that the network knows.
func (f getFlags) meet(ctx context.Context, h *swarm.BareHost, cid string) error {
	if len(f.from) > 0 {
		return h.Connect(ctx, f.from)
	}
	hash, err := ipfs.HashOf(cid)
	if err != nil {
		return err
	}
	return h.Find(ctx, hash, f.introducers)
}

// letGo unpins a checkpoint that is needed no more, and deletes its blocks.
func letGo(ctx context.Context, store checkpoint.Store, cid string) error {
	if err := store.Unpin(ctx, cid); err != nil {
		return err
	}
	_, err := store.Collect(ctx)
	return err
}
