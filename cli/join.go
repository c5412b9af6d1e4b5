package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/adrg/xdg"
	"github.com/dustin/go-humanize"
	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/swarm"
)

type joinFlags struct {
	dataDir  string
	up, down configs.Rate
	quota    string
	threads  int
	workers  int
	listen   []string
	battery  bool
	check    bool
	json     bool
}

// defaultDataDir is where joined runs are kept if nobody says otherwise.
func defaultDataDir() string { return filepath.Join(xdg.DataHome, "skein") }

func newJoinCommand() *cobra.Command {
	var f joinFlags
	cmd := &cobra.Command{
		Use:   "join [ADDR …]",
		Short: "lend this machine to a run",
		Long: "join fetches a run's recipe, newest checkpoint and token shards from its peers, all checked by hash, and trains along.\n" +
			"ADDR is what skein run prints; without one, the runs on the local network are listed. Nothing that a run sends is executed.\n" +
			"Ctrl+C leaves; the same command comes back and goes on. " + pauseHelp,
		Example: "  skein join /ip4/203.0.113.7/tcp/4001/p2p/12D3KooW…\n  skein join ADDR --up 2MB/s --down 8MB/s --threads 2",
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.dataDir, "data-dir", defaultDataDir(), "folder that everything is kept in")
	flags.Var(&f.up, "up", "most bytes sent per second, such as 2MB/s; 0 has no limit")
	flags.Var(&f.down, "down", "most bytes received per second; 0 has no limit")
	flags.StringVar(&f.quota, "quota", "1GB", "most disk space for token shards; they are fetched as they are needed")
	flags.IntVar(&f.threads, "threads", 0, "threads to train with; 0 takes all cores")
	flags.IntVar(&f.workers, "workers", 1, "workers on this machine")
	flags.StringSliceVar(&f.listen, "listen", []string{"/ip4/0.0.0.0/tcp/0"}, "addresses to listen on; none is fine too")
	flags.BoolVar(&f.battery, "pause-on-battery", false, "train only while the machine has mains power")
	flags.BoolVar(&f.check, "check", false, "say what the run would take, and whether this machine is fit, and do nothing")
	flags.BoolVar(&f.json, "json", false, "print what happened as JSON on standard output; progress goes to standard error")
	return cmd
}

func (f joinFlags) run(cmd *cobra.Command, addrs []string) error {
	out := newConsole(cmd.OutOrStdout())
	if f.json {
		out = newConsole(cmd.ErrOrStderr())
	}
	if len(addrs) == 0 {
		return listRuns(cmd.Context(), out)
	}
	quota, err := humanize.ParseBytes(f.quota)
	if err != nil || quota < 64<<20 || quota > 1<<50 {
		return fmt.Errorf("--quota %q: want a size of at least 64MiB, such as 500MB", f.quota)
	}
	power, err := watchPower(f.battery)
	if err != nil {
		return err
	}
	in, known, err := f.invitation(cmd.Context(), addrs, out)
	if err != nil {
		return err
	}
	if err := f.settle(&in.cfg); err != nil {
		return err
	}
	g := &guest{session: &session{cfg: in.cfg, manifest: in.manifest, dir: remembered(f.dataDir).dir(in.manifest.Hash()), out: out}, addrs: addrs, quota: int64(quota), known: known}
	g.log = slog.New(tint.NewTextHandler(out, &tint.Options{Level: slog.LevelWarn, TimeFormat: time.TimeOnly, NoColor: out.width == 0}))
	g.paused = g.away.Load
	price, err := g.welcome()
	if err != nil || f.check {
		return err
	}
	debug.SetMemoryLimit(price.Memory - mapped)
	if err := remembered(f.dataDir).keep(in, addrs); err != nil {
		return err
	}
	sum, err := g.run(cmd.Context(), power)
	switch {
	case errors.Is(err, context.Canceled) && cmd.Context().Err() != nil:
		return interrupted{"skein join " + addrs[0]}
	case errors.Is(err, checkpoint.ErrDiskFull), errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w\nwhat was done is kept in %s; free some space on that disk, then come back with the same command", err, g.dir)
	case errors.Is(err, checkpoint.ErrNotFound), errors.Is(err, checkpoint.ErrCorrupt):
		return fmt.Errorf("%w\nwhat was done is kept in %s; come back with the same command in a while, and tell the run's owner if that does not help", err, g.dir)
	case err != nil:
		return fmt.Errorf("%w\nwhat was done is kept in %s; come back with the same command", err, g.dir)
	case f.json:
		return printJSON(cmd, sum)
	}
	sum.tell(out)
	return nil
}

// invitation asks the addresses for the run. A run that was joined from here before goes on even while they are silent.
func (f joinFlags) invitation(ctx context.Context, addrs []string, out *console) (in *invited, known bool, err error) {
	out.update("asking %s for its run", addrs[0])
	defer out.update("")
	before, known := remembered(f.dataDir).recall(addrs)
	in, err = accept(ctx, addrs)
	if known && errors.Is(err, swarm.ErrUnreachable) {
		if dir := remembered(f.dataDir).dir(before.manifest.Hash()); dir.finished() {
			return nil, true, fmt.Errorf("this run is over, and nobody answers at the address any more; what this machine did is in %s", dir.summary())
		}
		return before, true, nil
	}
	if err == nil {
		_, statErr := os.Stat(remembered(f.dataDir).dir(in.manifest.Hash()).manifest())
		known = statErr == nil
	}
	return in, known, err
}

// settle puts this machine's own settings into the run's.
func (f joinFlags) settle(c *configs.Config) error {
	c.Train.Threads, c.Swarm.LocalWorkers, c.Swarm.Listen, c.Swarm.Up, c.Swarm.Down = f.threads, f.workers, f.listen, f.up, f.down
	own := *c
	own.Sync.MinPeers = 1 // the others are elsewhere
	return own.Validate()
}

// listRuns prints the runs on the local network.
func listRuns(ctx context.Context, out *console) error {
	out.update("listening for runs on the local network")
	found, err := swarm.Discover(ctx, 3*time.Second)
	out.update("")
	if err != nil {
		return fmt.Errorf("looking for runs on the local network: %w; pass the address that skein run prints: skein join ADDR", err)
	}
	if len(found) == 0 {
		return errors.New("no run announces itself on the local network; pass the address that skein run prints: skein join ADDR")
	}
	seen := map[aggregator.Hash]bool{}
	for _, r := range found {
		if seen[r.Run] || len(r.Addrs) == 0 {
			continue
		}
		seen[r.Run] = true
		out.line("%s (%s)\n  skein join %s", r.Name, r.Run.Short(), r.Addrs[0])
	}
	return nil
}

// welcome builds the parts that the cost follows from, says what it is, and refuses if this machine cannot bear it.
func (g *guest) welcome() (cost, error) {
	m := &g.manifest
	if err := g.openParts(context.Background()); err != nil {
		return cost{}, err
	}
	if uint64(g.layout.Len()) != m.Parameters || aggregator.LayoutHash(g.layout) != m.LayoutHash {
		return cost{}, errors.New("the run's model is not the one that its recipe describes: its owner uses another version of skein")
	}
	price, err := costOf(g.cfg, g.parts, g.quota)
	if err != nil {
		return cost{}, err
	}
	g.out.line("run     %s (%s), signed by its owner %s", m.Name, m.Hash().Short(), m.Owner)
	g.out.line("        %s parameters, %s, %d rounds of %d steps", humanize.Comma(int64(m.Parameters)), m.Method, m.Schedule.Rounds(), m.Schedule.Stride())
	short := price.fits(meansOf(string(g.dir)), string(g.dir))
	price.tell(g.out)
	return price, short
}

// run takes part until the run is over, or ctx is.
func (g *guest) run(ctx context.Context, power <-chan bool) (sum participation, err error) {
	defer func() { err = errors.Join(err, g.close()) }()
	g.expect = func(w *worker, first, start, count uint64) {
		g.stream.expect(ctx, start, count)
		if first > 1 && w.fresh.Swap(false) {
			g.settleIn(ctx, w)
		}
	}
	g.newExchange = swarm.NewPausedExchange
	err = open(ctx, g.alone, g.openKeys, g.openSnapshots, g.openRoads, g.openBlocks, g.present, g.openStart, g.openCorpus, g.openReplicas, g.openLoops, g.openReport, g.settle)
	if err != nil {
		return sum, err
	}
	g.out.line("engine  %s", g.workers[0].replica.Engine())
	g.out.line("here    %s", g.dir)
	stop := g.obey(ctx, power)
	err = g.train(ctx, g.attend)
	stop()
	if err != nil {
		return sum, errors.Join(err, g.leave())
	}
	if sum, err = g.participation(); err != nil {
		return sum, err
	}
	return sum, writeSummary(g.dir.summary(), sum)
}
