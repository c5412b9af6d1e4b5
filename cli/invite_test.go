package cli

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/configs"
)

// owned is a small run as its owner signs it.
func owned(t *testing.T, change func(*aggregator.Manifest)) (aggregator.SignedManifest, configs.Config) {
	t.Helper()
	s := newSession(t, io.Discard, "")
	if err := open(t.Context(), s.openParts, s.openKeys, s.openReplicas, s.openManifest); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.close() })
	m := s.manifest.Manifest
	m.DataCID = "bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
	if change != nil {
		change(&m)
	}
	return aggregator.NewSigner([32]byte{1}).SignManifest(m), s.cfg
}

func TestInvitation(t *testing.T) {
	m, c := owned(t, nil)
	in, err := readInvitation(&m, c.Recipe())
	if err != nil || in.cfg.Model != c.Model {
		t.Fatalf("%+v, %v", in, err)
	}
	home := remembered(t.TempDir())
	if err := home.keep(in, []string{"/ip4/192.0.2.1/tcp/1/p2p/x", "b"}); err != nil {
		t.Fatal(err)
	}
	if again, ok := home.recall([]string{"c", "b"}); !ok || again.manifest.Hash() != m.Hash() {
		t.Errorf("the run is not remembered")
	}
	if _, ok := home.recall([]string{"c"}); ok {
		t.Errorf("a run is remembered under an address that it never had")
	}
}

func TestInvitationRefuses(t *testing.T) {
	m, c := owned(t, nil)
	for name, bad := range map[string]struct {
		m      aggregator.SignedManifest
		recipe []byte
		says   string
	}{
		"another recipe": {m, bytes.Replace(c.Recipe(), []byte(`"seed":`), []byte(`"seed":1`), 1), "not the one that the run's owner signed"},
		"no recipe":      {m, nil, "not the one that the run's owner signed"},
	} {
		if _, err := readInvitation(&bad.m, bad.recipe); err == nil || !strings.Contains(err.Error(), bad.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, change := range map[string]func(*aggregator.Manifest){
		"another schedule":   func(m *aggregator.Manifest) { m.Schedule.Every++ },
		"another batch size": func(m *aggregator.Manifest) { m.BatchSize++ },
		"another name":       func(m *aggregator.Manifest) { m.Name = "other" },
	} {
		m, c := owned(t, change)
		if _, err := readInvitation(&m, c.Recipe()); err == nil || !strings.Contains(err.Error(), "contradict each other") {
			t.Errorf("%s: %v", name, err)
		}
	}
	m, c = owned(t, func(m *aggregator.Manifest) { m.DataCID = "" })
	if _, err := readInvitation(&m, c.Recipe()); err == nil || !strings.Contains(err.Error(), "does not hand out its token shards") {
		t.Errorf("no data: %v", err)
	}
}

func TestCheckClock(t *testing.T) {
	for off, says := range map[time.Duration]string{
		0: "", 9 * time.Minute: "", -9 * time.Minute: "",
		time.Hour:  "clock is 1h00m behind the run's: set it right",
		-time.Hour: "clock is 1h00m ahead of the run's: set it right",
	} {
		if err := checkClock(off); (says == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v: %v", off, err)
		}
	}
}

func TestCostFits(t *testing.T) {
	k := cost{Memory: 2 << 30, Disk: 3 << 30}
	for name, c := range map[string]struct {
		has  means
		says []string
	}{
		"plenty":    {means{4 << 30, 4 << 30}, nil},
		"no memory": {means{1 << 30, 4 << 30}, []string{"needs 2.0 GiB of memory and 1.0 GiB are free: close other programs"}},
		"neither":   {means{1 << 30, 1 << 30}, []string{"of memory", "up to 3.0 GiB on disk and 1.0 GiB are free in"}},
	} {
		err := k.fits(c.has, t.TempDir())
		if (err == nil) != (c.says == nil) {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range c.says {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("%s: %v lacks %q", name, err, s)
			}
		}
	}
}
