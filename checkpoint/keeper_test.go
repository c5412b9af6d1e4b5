package checkpoint_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

func TestKeeperLetsGoOfTheOldest(t *testing.T) {
	ctx, r, store := t.Context(), newRun(t, 6), memory(t)
	foreign := must(store.Add(ctx, "mine", storetest.Files(map[string]string{"f": "x"})))(t)
	index := checkpoint.OpenIndex(filepath.Join(t.TempDir(), "checkpoints.jsonl"))
	k := checkpoint.Keeper{Store: store, Index: index, Keep: 2}
	var cids []string
	for _, c := range r.states[1:] {
		cids = append(cids, must(k.Publish(ctx, c, checkpoint.Record{Time: time.Unix(int64(c.Seq), 0).UTC()}))(t))
	}
	var pinned []string
	for _, p := range must(store.Pins(ctx))(t) {
		pinned = append(pinned, p.CID)
		must(store.Verify(ctx, p.CID))(t)
	}
	if want := []string{foreign, cids[4], cids[5]}; !slices.Equal(pinned, want) {
		t.Errorf("pinned %v, want %v", pinned, want)
	}
	if _, err := store.Verify(ctx, cids[3]); err == nil {
		t.Error("an old checkpoint was not collected")
	}
	records := must(index.Records())(t)
	if len(records) != 6 || records[0].CID != cids[0] || records[5].Seq != 6 || records[5].Step != 60 || !records[2].Time.Equal(time.Unix(3, 0)) {
		t.Errorf("records %+v", records)
	}
	again := must(k.Publish(ctx, r.states[5], checkpoint.Record{}))(t) // after a resume from round 4
	if records := must(index.Records())(t); again != cids[4] || len(records) != 5 || records[4].CID != again {
		t.Errorf("published again: %s, records %+v", again, records)
	}
}

func TestIndexIsReadLineByLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "checkpoints.jsonl")
	x := checkpoint.OpenIndex(path)
	if records, err := x.Records(); err != nil || len(records) != 0 {
		t.Fatalf("%v, error %v", records, err)
	}
	loss := 1.5
	if err := x.Add(checkpoint.Record{Seq: 5, CID: "bafy", Loss: &loss}); err != nil {
		t.Fatal(err)
	}
	if records := must(x.Records())(t); *records[0].Loss != 1.5 {
		t.Errorf("%+v", records)
	}
	if err := os.WriteFile(path, []byte("{}\nrubbish\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Records(); err == nil {
		t.Error("rubbish was read")
	}
}
