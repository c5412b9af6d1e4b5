package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/internal/usage"
	"github.com/skein-train/skein/swarm"
)

type runFlags struct {
	resume, fresh, json bool
	fault, from         string
	peers               []string
}

func newRunCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run FILE [KEY=VALUE …]",
		Short: "train: start a run from a run file, or go on with one",
		Long: "run starts the run that FILE describes, with this machine's workers and the committee's seat, in runs/<name>.\n" +
			"KEY=VALUE overrides a key of the file. Ctrl+C stops it; --resume goes on where it was, bit by bit.",
		Example: "  skein run configs/tiny.yaml\n  skein run configs/tiny.yaml train.steps=800 name=longer\n  skein run runs/tiny --resume",
		Args:    cobra.MinimumNArgs(1),
		RunE:    func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0], args[1:]) },
	}
	cmd.Flags().BoolVar(&f.resume, "resume", false, "go on with the run that runs/<name> holds")
	cmd.Flags().BoolVar(&f.fresh, "fresh", false, "put a run of that name aside and start anew")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the summary as JSON on standard output; progress goes to standard error")
	cmd.Flags().StringVar(&f.from, "from", "", "start from the parameters of a checkpoint: a run of this machine, or a CID")
	cmd.Flags().StringSliceVar(&f.peers, "peer", nil, "with --from CID: multiaddr, peer id included, of who has it; may be repeated")
	cmd.Flags().StringVar(&f.fault, "fault", "", "kill a local worker after a round, such as w2@7")
	_ = cmd.Flags().MarkHidden("fault")
	return cmd
}

func (f runFlags) run(cmd *cobra.Command, file string, overrides []string) error {
	ctx := cmd.Context()
	var dir runDir
	if info, err := os.Stat(file); err == nil && info.IsDir() { // a run's folder stands for its run file
		dir = runDir(filepath.Clean(file))
		file = dir.config()
	}
	cfg, err := configs.Load(file, overrides)
	if err != nil {
		return err
	}
	if dir == "" || !f.resume {
		dir = runDir(filepath.Join(runsDir(cmd), cfg.Name))
	}
	switch {
	case f.resume && f.from != "":
		return errors.New("--from is for a new run; one that goes on has its start already")
	case f.from == "" && len(f.peers) > 0:
		return errors.New("--peer says who has the checkpoint of --from CID, which is missing")
	}
	planned, err := parseFault(f.fault, cfg.Swarm.LocalWorkers)
	if err != nil {
		return err
	}
	services, err := pinningServices(cfg.Checkpoint.Remote, os.Getenv)
	if err != nil {
		return err
	}
	out := newConsole(cmd.OutOrStdout())
	if f.json {
		out = newConsole(cmd.ErrOrStderr())
	}
	s := &session{cfg: cfg, dir: dir, out: out, fault: planned, services: services, first: first{name: f.from, peers: f.peers}}
	s.log = slog.New(tint.NewTextHandler(out, &tint.Options{Level: slog.LevelWarn, TimeFormat: time.TimeOnly, NoColor: out.width == 0}))
	if f.resume && s.dir.finished() {
		return fmt.Errorf("%s is finished; look at it with: %s", dir, dir.command("sample"))
	}
	release, err := s.hold()
	if err != nil {
		return err
	}
	defer release()
	if s.corpus, err = prepareCorpus(ctx, cfg, dir.runs(), out); err != nil {
		return err
	}
	if err := dir.begin(cfg, f.resume, f.fresh); err != nil {
		return errors.Join(err, s.close())
	}
	sum, err := s.run(ctx)
	switch {
	case err == nil:
	case s.report == nil && !f.resume: // it did not get under way: nothing to go on with
		return errors.Join(err, dir.discard())
	default:
		return explain(err, dir)
	}
	if f.json {
		e := json.NewEncoder(cmd.OutOrStdout())
		e.SetIndent("", "  ")
		return e.Encode(sum)
	}
	return s.tell(cmd, sum)
}

// explain adds the next step to an error that leaves the run unfinished.
func explain(err error, dir runDir) error {
	next := fmt.Sprintf("skein run %s --resume", dir)
	switch {
	case errors.Is(err, context.Canceled):
		return interrupted{next}
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w\nwhat was done is kept; free some space on that disk, then go on with: %s", err, next)
	}
	return fmt.Errorf("%w\nwhat was done is kept; go on with: %s", err, next)
}

// run is one life of the run, from opening its parts to the summary.
func (s *session) run(ctx context.Context) (sum summary, err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	s.newExchange = swarm.NewExchange
	err = open(ctx, s.openParts, s.openTokenizer, s.openKeys, s.openReplicas, s.openSnapshots, s.shareData, s.recallManifest, s.openFirst, s.openManifest,
		s.openSeat, s.openWorkers, s.openMirrors, s.openProvider, s.openReport, s.announceAgain)
	if err != nil {
		return sum, err
	}
	s.introduce()
	if err := s.train(ctx, s.watch); err != nil {
		return sum, err
	}
	if sum, err = s.finish(ctx); err == nil {
		s.mirrors.settle(ctx, s.dir.command("checkpoint pin"))
	}
	return sum, err
}

// openWorkers brings up what lies between the committee's seat and the local workers' loops.
func (s *session) openWorkers(ctx context.Context) error {
	err := s.openStore(ctx, s.seat.node, 0)
	if err == nil {
		err = s.openNodes(ctx, nearby(s.seat.node.Addrs())...)
	}
	if err == nil {
		err = s.openLoops(ctx)
	}
	return err
}

// announceAgain repeats the announcement of the last checkpoint: it may have died with an earlier life.
func (s *session) announceAgain(context.Context) error {
	if at := s.report.last; at.Checkpoint != "" {
		return s.seat.members.Announce(aggregator.Seq(at.Round), at.Checkpoint)
	}
	return nil
}

// introduce says what is about to happen.
func (s *session) introduce() {
	c := s.cfg
	s.out.line("run %s (%s): %s parameters, %d workers, %s", c.Name, s.manifest.Hash().Short(),
		humanize.Comma(int64(s.layout.Len())), c.Swarm.LocalWorkers, strings.ToUpper(c.Outer.Method))
	s.out.line("engine  %s", s.workers[0].replica.Engine())
	s.out.line("data    %s, %s sequences of %d tokens, and %d for validation", c.Data.Source,
		humanize.Comma(int64(s.corpus.data.Windows())), c.Data.SeqLen, s.corpus.data.Validations())
	s.out.line("listens %s", strings.Join(s.seat.node.Addrs(), " "))
	s.out.line("join    skein join %s", invitation(s.seat.node.Addrs()))
	if at := s.report.last; at.Round > 0 {
		s.out.line("resumes after round %d", at.Round)
	}
}

// invitation is the address to give to others: one that other machines can dial, if there is one.
func invitation(addrs []string) string {
	for _, a := range addrs {
		if !loopback(a) {
			return a
		}
	}
	return strings.Join(addrs[:min(1, len(addrs))], "")
}

// loopback says whether an address leads nowhere but to this machine.
func loopback(addr string) bool {
	return strings.HasPrefix(addr, "/ip4/127.") || strings.HasPrefix(addr, "/ip6/::1/")
}

// finish evaluates the final model on the whole validation split and writes the summary.
func (s *session) finish(ctx context.Context) (summary, error) {
	w := s.survivor()
	loss, err := s.validate(ctx)
	if err != nil {
		return summary{}, err
	}
	all, err := readMetrics(s.dir.metrics())
	if err != nil {
		return summary{}, err
	}
	last, m := s.report.last, s.manifest
	s.report.count(&last)
	sum := summary{
		Name: m.Name, RunID: m.Hash().String(), Method: m.Method, Engine: w.replica.Engine(), Workers: len(s.workers),
		Params: s.layout.Len(), Tokens: last.Tokens, InnerSteps: m.Schedule.Steps, Rounds: uint64(m.Schedule.Rounds()),
		TrainLoss: last.TrainLoss, ValLoss: loss, BytesSent: last.BytesSent, BytesReceived: last.BytesRecv,
		CommitteeSent: last.SeatSent, CommitteeReceived: last.SeatRecv,
		DDPBytes:      ddpBytes(len(s.workers), s.layout.Len(), m.Schedule.Steps),
		CheckpointCID: last.Checkpoint, StateHash: w.loop.Root().String(), WallS: s.report.wall(),
		PeakMemory: usage.PeakMemory(),
	}
	var bits float64
	for _, r := range all {
		sum.PayloadBytes += r.PayloadBytes
		bits += r.BitsPerParam
	}
	sum.BitsPerParamPerSync = bits / float64(len(all))
	sum.BitsPerParamPerStep = 8 * float64(sum.PayloadBytes) / float64(sum.Params) / float64(sum.InnerSteps)
	sum.TokensPerS = float64(sum.Tokens) / last.WallS
	return sum, writeSummary(s.dir.summary(), sum)
}

// survivor is a worker that has finished the run.
func (s *session) survivor() *worker {
	for _, w := range s.workers {
		if w.loop.State().Seq == s.manifest.Schedule.Rounds() {
			return w
		}
	}
	return s.workers[0]
}

// tell shows the result of a run: the loss, a sample, the checkpoint and what to do next.
func (s *session) tell(cmd *cobra.Command, sum summary) error {
	out := s.out
	out.line("")
	if sum.ValLoss != nil {
		out.line("validation loss  %.4f nats/token (whole split)", *sum.ValLoss)
	}
	out.line("sent             %s per worker; data parallel training would have sent %s (%.1f×)",
		humanize.Bytes(sum.BytesSent), humanize.Bytes(sum.DDPBytes), float64(sum.DDPBytes)/float64(max(1, sum.BytesSent)))
	out.line("time             %s, %.1fk tokens/s", clock(time.Duration(sum.WallS*float64(time.Second))), sum.TokensPerS/1000)
	out.line("state            %s", sum.StateHash)
	out.line("checkpoint       %s", sum.CheckpointCID)
	out.line("")
	text, err := sampleText(cmd.Context(), s.cfg, s.survivor().loop.State().Anchor, sampleOptions{prompt: defaultPrompt, tokens: 200, temperature: 0.7, topK: 40, seed: s.cfg.Seed})
	if err != nil {
		out.line("no sample: %v", err) // the run is over all the same
	} else {
		out.line("a sample:\n%s", indent(text))
	}
	out.line("")
	out.line("next:")
	out.line("  %s --prompt \"The history of\"", s.dir.command("sample"))
	out.line("  %s", s.dir.command("checkpoint ls"))
	out.line("  %s", s.dir.command("checkpoint verify"))
	return nil
}

func indent(text string) string { return "  | " + strings.ReplaceAll(text, "\n", "\n  | ") }
