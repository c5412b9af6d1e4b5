package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/remote"
)

// pinTokenVariable holds the access token of pinning services. With a service's host behind it, _PINS_EXAMPLE for
// pins.example, it is that of this service alone and goes first.
const pinTokenVariable = "SKEIN_PIN_TOKEN"

type pinFlags struct {
	remote          string
	origins, listen []string
	wait            time.Duration
	remove, json    bool
}

func newCheckpointPinCommand() *cobra.Command {
	var f pinFlags
	cmd := &cobra.Command{
		Use:   "pin RUN|CID",
		Short: "have a pinning service keep a checkpoint",
		Long: "Ask a service that speaks the IPFS Pinning Service API to keep the newest checkpoint of a run, or the one of a CID, and wait until it has it.\n" +
			"The access token comes from the environment: " + pinTokenVariable + ", or for one service, pins.example say, " + pinTokenVariable + "_PINS_EXAMPLE.\n" +
			"The service must be able to fetch the checkpoint: say where from with --origin (a run that is going, `skein checkpoint serve`), or serve it from here with --listen.\n" +
			"Asking again goes on with the same pin.",
		Example: "  skein checkpoint pin tiny --remote https://pins.example/psa --listen /ip4/0.0.0.0/tcp/4001",
		Args:    cobra.ExactArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVar(&f.remote, "remote", "", "URL of the service (needed)")
	cmd.Flags().StringSliceVar(&f.origins, "origin", nil, "multiaddr, peer id included, of who has the checkpoint; may be repeated")
	cmd.Flags().StringSliceVar(&f.listen, "listen", nil, "serve the checkpoint at this multiaddr while waiting; may be repeated")
	cmd.Flags().DurationVar(&f.wait, "wait", 10*time.Minute, "how long to wait until it is pinned; 0 only asks")
	cmd.Flags().BoolVar(&f.remove, "remove", false, "take the pin off instead")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the pin's status as JSON on standard output; progress goes to standard error")
	_ = cmd.MarkFlagRequired("remote")
	return cmd
}

func (f pinFlags) run(cmd *cobra.Command, name string) (err error) {
	ctx := cmd.Context()
	c, err := pinningService(f.remote, os.Getenv)
	if err != nil {
		return err
	}
	from, cid, err := findCheckpoint(ctx, runsDir(cmd), name)
	if err != nil {
		return err
	}
	p, err := pinOf(ctx, from, cid)
	if err != nil {
		return err
	}
	out := newConsole(cmd.OutOrStdout())
	if f.json {
		out = newConsole(cmd.ErrOrStderr())
	}
	if f.remove {
		if err := c.Forget(ctx, p.CID, p.Name); err != nil {
			return err
		}
		out.line("checkpoint %s is not pinned at %s any more", cid, f.remote)
		return nil
	}
	p.Origins = f.origins
	var host *server
	if len(f.listen) > 0 {
		if host, err = serveCheckpoints(from, f.listen, nil); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, host.Close()) }()
		p.Origins = append(p.Origins, host.Addrs()...)
	}
	s, err := f.pin(ctx, c, p, host, out)
	if f.json && s.ID != "" {
		err = errors.Join(err, printJSON(cmd, s))
	}
	return err
}

// pin asks the service and waits. host, if it is not nil, serves the checkpoint meanwhile.
func (f pinFlags) pin(ctx context.Context, c *remote.Client, p remote.Pin, host *server, out *console) (remote.Status, error) {
	s, err := c.Ensure(ctx, p)
	if err != nil {
		return s, err
	}
	if host != nil && len(s.Delegates) > 0 {
		if err := host.Connect(ctx, s.Delegates); err != nil { // they may still find us by the origins
			out.line("the service's fetchers cannot be reached from here: %v", err)
		}
	}
	if f.wait > 0 {
		waiting, cancel := context.WithTimeout(ctx, f.wait)
		defer cancel()
		s, err = c.Wait(waiting, s, func(s remote.Status) {
			out.update("checkpoint %s at %s: %s", p.CID, f.remote, strings.Join(strings.Fields(string(s.State)+" "+s.Detail), " "))
		})
		out.update("")
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			return s, fmt.Errorf("checkpoint %s is still %s at %s after %v: ask again later with the same command, or check that the service can reach who has it (--origin, --listen)",
				p.CID, s.State, f.remote, f.wait)
		}
		if err != nil {
			return s, err
		}
	}
	out.line("checkpoint %s is %s at %s (request %s)", p.CID, s.State, f.remote, s.ID)
	return s, nil
}

// pinOf is what a service is asked to keep. It has the name of the pin in the run's own store.
func pinOf(ctx context.Context, from checkpoint.Source, cid string) (remote.Pin, error) {
	folder, err := from.Open(ctx, cid)
	if err != nil {
		return remote.Pin{}, err
	}
	name, err := checkpoint.PinNameOf(folder)
	return remote.Pin{CID: cid, Name: name}, err
}

// tokenVariable is the environment variable of the token of one service alone.
func tokenVariable(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return pinTokenVariable
	}
	return strings.ToUpper(pinTokenVariable + "_" + strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToLower(u.Hostname())))
}

// pinningService makes the client of a service, with the token that the environment has for it.
func pinningService(address string, getenv func(string) string) (*remote.Client, error) {
	own := tokenVariable(address)
	token := getenv(own)
	if token == "" {
		token = getenv(pinTokenVariable)
	}
	c, err := remote.New(address, remote.Options{Token: token})
	if err != nil && token == "" {
		return nil, fmt.Errorf("%w\nput the access token of the service into the environment variable %s or %s", err, pinTokenVariable, own)
	}
	return c, err
}
