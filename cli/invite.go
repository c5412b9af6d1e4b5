package cli

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/swarm"
)

// invited is what a stranger's word has come to once it has been checked: a run that its owner signed, and its recipe.
type invited struct {
	manifest aggregator.SignedManifest
	cfg      configs.Config
}

// clockLimit is how far this machine's clock may be off: certificates of connections are valid from an hour before they
// are made, and times in reports should mean something.
const clockLimit = 10 * time.Minute

// accept asks the peers at the addresses for their run and checks every word of the answer.
func accept(ctx context.Context, addrs []string) (*invited, error) {
	answer, err := swarm.FetchRun(ctx, addrs)
	if err != nil {
		return nil, err
	}
	if err := checkClock(answer.Ahead); err != nil {
		return nil, err
	}
	return readInvitation(answer.Run, answer.Welcome)
}

// checkClock judges how far a peer's clock is ahead of this machine's.
func checkClock(ahead time.Duration) error {
	way := "behind"
	if ahead < 0 {
		way = "ahead of"
	}
	if ahead.Abs() <= clockLimit {
		return nil
	}
	return fmt.Errorf("this machine's clock is %s %s the run's: set it right (on Linux: timedatectl set-ntp true) and try again", clock(ahead.Abs()), way)
}

// readInvitation holds the recipe against the signed manifest.
func readInvitation(m *aggregator.SignedManifest, recipe []byte) (*invited, error) {
	if sha256.Sum256(recipe) != m.RecipeHash {
		return nil, errors.New("the recipe is not the one that the run's owner signed: somebody on the way has changed it; ask the owner for another address")
	}
	cfg, err := configs.ParseRecipe(recipe)
	if err != nil {
		return nil, fmt.Errorf("%w; use the version of skein that the run's owner uses", err)
	}
	want := terms(cfg)
	want.Version, want.Owner, want.Committee = m.Version, m.Owner, m.Committee
	want.Parameters, want.LayoutHash, want.FirstRoot = m.Parameters, m.LayoutHash, m.FirstRoot
	want.FirstCID, want.DataHash, want.DataCID, want.Sequences = m.FirstCID, m.DataHash, m.DataCID, m.Sequences
	if want.Hash() != m.Hash() {
		return nil, errors.New("the run's manifest and its recipe contradict each other: its owner uses another version of skein, or means no good")
	}
	if m.DataCID == "" {
		return nil, errors.New("the run's owner does not hand out its token shards, so nobody else can train on them")
	}
	return &invited{*m, cfg}, nil
}

// remembered are the runs that this machine has joined before, by the hash of their manifests; nothing that a peer said is
// ever part of a path.
type remembered string

func (r remembered) dir(run aggregator.Hash) runDir {
	return runDir(filepath.Join(string(r), run.String()[:16]))
}

// keep writes down what is needed to join again while nobody answers at the address.
func (r remembered) keep(in *invited, addrs []string) error {
	dir := r.dir(in.manifest.Hash())
	if err := os.MkdirAll(filepath.Join(string(dir), "state"), 0o755); err != nil {
		return fmt.Errorf("making the folder for the run: %w", err)
	}
	return errors.Join(
		writeFile(dir.manifest(), in.manifest.Encode()),
		writeFile(dir.recipe(), in.cfg.Recipe()),
		writeFile(dir.invite(), []byte(joinLines(addrs))),
	)
}

// recall finds a run that was joined through one of the addresses before.
func (r remembered) recall(addrs []string) (*invited, bool) {
	found, _ := filepath.Glob(filepath.Join(string(r), "*", "state", "invite"))
	for _, path := range found {
		dir := runDir(filepath.Dir(filepath.Dir(path)))
		text, err := os.ReadFile(path)
		if err != nil || !anyOf(addrs, splitLines(string(text))) {
			continue
		}
		signed, err := os.ReadFile(dir.manifest())
		if err != nil {
			continue
		}
		m, err := aggregator.DecodeManifest(signed)
		if err != nil {
			continue
		}
		recipe, err := os.ReadFile(dir.recipe())
		if err != nil {
			continue
		}
		if in, err := readInvitation(&m, recipe); err == nil {
			return in, true
		}
	}
	return nil, false
}
