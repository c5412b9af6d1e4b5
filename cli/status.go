package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/swarm"
)

func newStatusCommand() *cobra.Command {
	var asJSON bool
	var dataDir string
	cmd := &cobra.Command{
		Use:   "status [ADDR …]",
		Short: "how a run fares: roster, rounds, certificates, peers",
		Long: "status asks a peer of a run how it fares, and checks the log that it shows against the committee's signatures.\n" +
			"Without an address it lists the runs of this machine.",
		Example: "  skein status /ip4/203.0.113.7/tcp/4001/p2p/12D3KooW…\n  skein status",
		RunE: func(cmd *cobra.Command, addrs []string) error {
			if len(addrs) == 0 {
				list, err := localRuns(runsDir(cmd), dataDir)
				if err != nil {
					return err
				}
				if asJSON {
					return printJSON(cmd, list)
				}
				return tellLocalRuns(cmd.OutOrStdout(), list)
			}
			s, err := askStatus(cmd.Context(), addrs)
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd, s)
			}
			return s.tell(cmd.OutOrStdout())
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().StringVar(&dataDir, "data-dir", defaultDataDir(), "folder of the runs that were joined")
	return cmd
}

// runStatus is a run as one of its peers shows it. What the log says has been checked; the peer's own numbers are its word.
type runStatus struct {
	Run         string         `json:"run_id"`
	Name        string         `json:"name"`
	Owner       string         `json:"owner"`
	Round       uint64         `json:"round"`
	Rounds      uint64         `json:"rounds"`
	Step        uint64         `json:"step"`
	Steps       uint64         `json:"steps"`
	Closed      bool           `json:"closed"`
	Checkpoint  string         `json:"checkpoint_cid,omitempty"`
	Roster      []memberStatus `json:"roster"`
	Certificate []roundStatus  `json:"rounds_certified"` // the last ones, oldest first
	Peer        peerStatus     `json:"peer"`
}

// memberStatus is a worker as the log knows it.
type memberStatus struct {
	Slot    uint32 `json:"slot"`
	Peer    string `json:"peer"`
	Counted uint64 `json:"counted"` // rounds
	Tokens  uint64 `json:"tokens"`
	Last    uint64 `json:"last"` // round that counted it last
}

// roundStatus is one certificate.
type roundStatus struct {
	Round      uint64  `json:"round"`
	Counted    int     `json:"counted"`
	Tokens     uint64  `json:"tokens"`
	Loss       float64 `json:"loss"`
	Joined     int     `json:"joined"`
	Left       int     `json:"left"`
	Root       string  `json:"root"` // of the state that it counts from
	Checkpoint string  `json:"checkpoint_cid,omitempty"`
}

// peerStatus is what the peer says of itself.
type peerStatus struct {
	Peers    int     `json:"peers"`
	UptimeS  float64 `json:"uptime_s"`
	Sent     uint64  `json:"bytes_sent"`
	Received uint64  `json:"bytes_received"`
}

// shownRounds is how many certificates are shown.
const shownRounds = 8

func askStatus(ctx context.Context, addrs []string) (*runStatus, error) {
	in, err := swarm.FetchRun(ctx, addrs)
	if err != nil {
		return nil, err
	}
	peer, err := swarm.FetchStatus(ctx, addrs)
	if err != nil {
		return nil, err
	}
	chain, log, err := swarm.FetchLog(ctx, addrs, &in.Run.Manifest, 0)
	if err != nil {
		return nil, err
	}
	return summarise(&in.Run.Manifest, chain, log, peer), nil
}

// summarise reads the log from the genesis on.
func summarise(m *aggregator.Manifest, chain *aggregator.Chain, log []*aggregator.Certificate, peer *swarm.Status) *runStatus {
	s := &runStatus{
		Run: m.Hash().String(), Name: printable([]byte(m.Name)), Owner: m.Owner.String(), Rounds: uint64(m.Schedule.Rounds()), Steps: m.Schedule.Steps, Step: peer.Step,
		Closed: chain.Closed(), Peer: peerStatus{peer.Peers, peer.Uptime.Seconds(), peer.Sent, peer.Received},
	}
	members := map[aggregator.PeerID]*memberStatus{}
	for _, c := range log {
		if c.Announce.CID != "" {
			s.Checkpoint = printable([]byte(c.Announce.CID))
		}
		if c.Kind != aggregator.Round {
			continue
		}
		s.Round = uint64(c.Seq)
		r := roundStatus{Round: s.Round, Counted: len(c.List), Joined: len(c.Joined), Left: len(c.Left), Root: c.BaseRoot.Short(), Checkpoint: printable([]byte(c.Announce.CID))}
		for _, e := range c.List {
			one := members[e.Worker]
			if one == nil {
				one = &memberStatus{}
				members[e.Worker] = one
			}
			one.Counted, one.Tokens, one.Last = one.Counted+1, one.Tokens+e.Weight, s.Round
			r.Tokens += e.Weight
			r.Loss += float64(e.Loss) * float64(e.Weight)
		}
		r.Loss /= max(1, float64(r.Tokens))
		s.Certificate = append(s.Certificate, r)
	}
	s.Certificate = s.Certificate[max(0, len(s.Certificate)-shownRounds):]
	for i, p := range chain.Roster().Peers() {
		one := cmp.Or(members[p], &memberStatus{})
		one.Slot, one.Peer = uint32(chain.Roster().Slots()[i]), p.String()
		s.Roster = append(s.Roster, *one)
	}
	return s
}

func (s *runStatus) tell(out io.Writer) error {
	var b strings.Builder
	state := "running"
	if s.Closed {
		state = "over"
	}
	fmt.Fprintf(&b, "run     %s (%s), %s, owner %s\n", s.Name, s.Run[:8], state, s.Owner)
	fmt.Fprintf(&b, "round   %d/%d, step %d/%d\n", s.Round, s.Rounds, s.Step, s.Steps)
	fmt.Fprintf(&b, "peer    connected to %d, up for %s, sent %s, received %s\n", s.Peer.Peers, clock(time.Duration(s.Peer.UptimeS*float64(time.Second))),
		humanize.Bytes(s.Peer.Sent), humanize.Bytes(s.Peer.Received))
	if s.Checkpoint != "" {
		fmt.Fprintf(&b, "newest  %s\n", s.Checkpoint)
	}
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nSLOT\tWORKER\tCOUNTED\tTOKENS\tLAST ROUND")
	for _, m := range s.Roster {
		fmt.Fprintf(w, "%d\t%s\t%d\t%s\t%d\n", m.Slot, m.Peer, m.Counted, humanize.Comma(int64(m.Tokens)), m.Last)
	}
	_ = w.Flush() // into memory
	w = tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\nROUND\tCOUNTED\tTOKENS\tLOSS\tJOINED\tLEFT\tFROM ROOT")
	for _, r := range s.Certificate {
		fmt.Fprintf(w, "%d\t%d\t%s\t%.3f\t%d\t%d\t%s\n", r.Round, r.Counted, humanize.Comma(int64(r.Tokens)), r.Loss, r.Joined, r.Left, r.Root)
	}
	_ = w.Flush()
	_, err := io.WriteString(out, b.String())
	return err
}

// localRun is a run in a folder of this machine.
type localRun struct {
	Folder string  `json:"folder"`
	Joined bool    `json:"joined"` // somebody else's run
	Round  uint64  `json:"round"`
	Step   uint64  `json:"step"`
	Loss   float64 `json:"train_loss"`
	Over   bool    `json:"over"`
}

// localRuns lists the runs that this machine started or joined, by folder.
func localRuns(runs, dataDir string) ([]localRun, error) {
	out := []localRun{}
	for _, root := range []string{runs, dataDir} {
		found, err := filepath.Glob(filepath.Join(root, "*", "metrics.jsonl"))
		if err != nil {
			return nil, err
		}
		for _, path := range found {
			dir := runDir(filepath.Dir(path))
			all, err := readMetrics(path)
			if len(all) == 0 { // nothing to say yet; a line that is being written is no error
				_ = err
				continue
			}
			last := all[len(all)-1]
			out = append(out, localRun{Folder: string(dir), Joined: root == dataDir, Round: last.Round, Step: last.Step, Loss: last.TrainLoss, Over: dir.finished()})
		}
	}
	slices.SortFunc(out, func(a, b localRun) int { return cmp.Compare(a.Folder, b.Folder) })
	return out, nil
}

func tellLocalRuns(out io.Writer, list []localRun) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(out, "no runs on this machine; start one with: skein run configs/tiny.yaml, or join one with: skein join ADDR")
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tROUND\tSTEP\tLOSS\tSTATE")
	for _, r := range list {
		state := "under way or stopped"
		if r.Over {
			state = "over"
		}
		if r.Joined {
			state += ", joined"
		}
		fmt.Fprintf(w, "%s\t%d\t%d\t%.3f\t%s\n", r.Folder, r.Round, r.Step, r.Loss, state)
	}
	return w.Flush()
}
