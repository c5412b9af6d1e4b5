package cli

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/swarm"
)

// server hands out the checkpoints of a store, beside a run or alone.
type server struct {
	*swarm.BareHost
	blocks io.Closer
}

func serveCheckpoints(from checkpoint.Source, listen []string, caps *swarm.Caps) (*server, error) {
	h, err := swarm.NewBareHost(listen, caps)
	if err != nil {
		return nil, err
	}
	blocks, err := ipfs.Serve(from, h.Host())
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return &server{h, blocks}, nil
}

func (s *server) Close() error { return errors.Join(s.blocks.Close(), s.BareHost.Close()) }

func newCheckpointServeCommand() *cobra.Command {
	var listen []string
	var limits capFlags
	cmd := &cobra.Command{
		Use:   "serve RUN|CID",
		Short: "hand out checkpoints to other machines until Ctrl+C",
		Long: "Hand out the checkpoints in the store of a run to skein, and to any IPFS program that connects, until Ctrl+C.\n" +
			"It reads only, works beside the run too, and opens no port but those of --listen.",
		Example: "  skein checkpoint serve tiny --listen /ip4/0.0.0.0/tcp/4001",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			from, cid, err := findCheckpoint(cmd.Context(), runsDir(cmd), args[0])
			if err != nil {
				return err
			}
			s, err := serveCheckpoints(from, listen, limits.caps())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, s.Close()) }()
			out := newConsole(cmd.OutOrStdout())
			out.line("serving checkpoint %s and the others of its store at", cid)
			for _, a := range s.Addrs() {
				out.line("  %s", a)
			}
			out.line("fetch it with one of:\n  skein checkpoint get %s --from ADDRESS\n  ipfs swarm connect ADDRESS && ipfs get %s", cid, cid)
			s.watch(cmd.Context(), out)
			return nil
		},
	}
	cmd.Flags().StringSliceVar(&listen, "listen", []string{"/ip4/0.0.0.0/tcp/0"}, "multiaddr to listen on, TCP or QUIC; may be repeated")
	limits.add(cmd, "")
	return cmd
}

// watch shows the traffic until Ctrl+C.
func (s *server) watch(ctx context.Context, out *console) {
	defer out.update("")
	second := time.NewTicker(time.Second)
	defer second.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-second.C:
			sent, received := s.Traffic()
			out.update("sent %s, received %s", humanize.IBytes(sent), humanize.IBytes(received))
		}
	}
}
