package checkpoint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/skein-train/skein/aggregator"
)

// PinName is the name under which a checkpoint is pinned, here and at services. Names of a run sort by round.
func PinName(run aggregator.Hash, n aggregator.Seq) string {
	return fmt.Sprintf("%s%020d", pinPrefix(run), uint64(n))
}

func pinPrefix(run aggregator.Hash) string { return "skein/" + run.Short() + "/" }

// Keeper publishes a run's checkpoints and lets go of the old ones. After a crash at any point the newest checkpoints are
// still pinned, and the next Publish clears what is left of the others.
type Keeper struct {
	Store Store
	Index *Index // where the checkpoints are listed; may be nil
	Keep  int    // how many of a run's newest checkpoints stay pinned, at least 1
}

// Publish writes and pins a checkpoint, lists it, then unpins those of its run that are older than the newest Keep, and
// collects their blocks. If the disk is full, what was pinned before stays, and what was written of the new one is removed.
func (k Keeper) Publish(ctx context.Context, c *Checkpoint, r Record) (cid string, err error) {
	cid, err = Write(ctx, k.Store, c)
	if err != nil {
		if _, gcErr := k.Store.Collect(context.WithoutCancel(ctx)); gcErr != nil {
			err = errors.Join(err, gcErr)
		}
		return "", err
	}
	if k.Index != nil {
		r.Seq, r.Step, r.CID = c.Seq, c.Step, cid
		if err := k.Index.Add(r); err != nil {
			return "", err
		}
	}
	return cid, k.retire(ctx, c.Manifest.Hash())
}

// retire unpins a run's checkpoints but the newest Keep and collects what nothing needs any more.
func (k Keeper) retire(ctx context.Context, run aggregator.Hash) error {
	pins, err := k.Store.Pins(ctx) // ascending by name, so by round
	if err != nil {
		return err
	}
	pins = slices.DeleteFunc(pins, func(p Pin) bool { return !strings.HasPrefix(p.Name, pinPrefix(run)) })
	for len(pins) > max(1, k.Keep) {
		if err := k.Store.Unpin(ctx, pins[0].CID); err != nil {
			return err
		}
		pins = pins[1:]
	}
	_, err = k.Store.Collect(ctx)
	return err
}
