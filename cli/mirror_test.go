//go:build unix

package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/remote"
)

// keeper is a pinning service that fetches what it is asked to keep before it says that it has it.
type keeper struct {
	t *testing.T

	mu   sync.Mutex
	pins map[string]remote.Pin // by request
	more int
}

func (k *keeper) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	k.mu.Lock()
	defer k.mu.Unlock()
	reply := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	status := func(id string) map[string]any {
		return map[string]any{"requestid": id, "status": "pinned", "created": time.Unix(0, 0), "pin": k.pins[id], "delegates": []string{}}
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		reply(http.StatusUnauthorized, map[string]any{"error": map[string]string{"reason": "UNAUTHORIZED"}})
	case r.Method == http.MethodPost:
		var p remote.Pin
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil || len(p.Origins) == 0 {
			k.t.Errorf("asked for %+v, error %v", p, err)
		}
		k.mu.Unlock()
		said, err := checkpointVerbIn(r.Context(), k.t.TempDir(), "get", p.CID, "--from", strings.Join(p.Origins, ","), "--out", filepath.Join(k.t.TempDir(), "out"))
		k.mu.Lock()
		if r.Context().Err() != nil { // a newer checkpoint took its place
			return
		}
		if err != nil {
			k.t.Errorf("fetching what is to be pinned: %s, error %v", said, err)
		}
		id := fmt.Sprint(k.more)
		k.more++
		k.pins[id] = p
		reply(http.StatusAccepted, status(id))
	case r.Method == http.MethodDelete:
		delete(k.pins, strings.TrimPrefix(r.URL.Path, "/pins/"))
		reply(http.StatusAccepted, nil)
	default:
		found := []any{}
		for id, p := range k.pins {
			if p.CID == r.URL.Query().Get("cid") {
				found = append(found, status(id))
			}
		}
		reply(http.StatusOK, map[string]any{"count": len(found), "results": found})
	}
}

// The services of a run fetch its checkpoints from it and keep the newest; one that refuses is told of, and disturbs nobody.
func TestServicesKeepTheNewestCheckpoint(t *testing.T) {
	t.Parallel()
	k := &keeper{t: t, pins: map[string]remote.Pin{}}
	kept, refuses := httptest.NewServer(k), httptest.NewServer(k)
	defer kept.Close()
	defer refuses.Close()
	dir := t.TempDir()
	if err := furnish(dir, 2); err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(refuses.URL, "127.0.0.1", "localhost", 1)
	run := func(tokens ...string) (string, error) {
		cmd := program(t, dir, "run", "run.yaml", "checkpoint.keep=1", fmt.Sprintf("checkpoint.remote=[%q, %q]", kept.URL, other))
		cmd.Env = append(cmd.Environ(), tokens...)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	const want = "put the access token of http://127.0.0.1"
	if out, err := run("SKEIN_PIN_TOKEN=secret"); err == nil || !strings.Contains(out, want) || !strings.Contains(out, "SKEIN_PIN_TOKEN_127_0_0_1;") {
		t.Fatalf("one token for two services: %s, error %v", out, err)
	}
	out, err := run("SKEIN_PIN_TOKEN_127_0_0_1=secret", "SKEIN_PIN_TOKEN_LOCALHOST=wrong")
	if err != nil {
		t.Fatalf("%s, error %v", out, err)
	}
	records, err := checkpoint.OpenIndex(runDir(filepath.Join(dir, "runs", "small")).checkpoints()).Records()
	if err != nil || len(records) != 2 {
		t.Fatalf("%d checkpoints, error %v", len(records), err)
	}
	last := records[1].CID
	if len(k.pins) != 1 {
		t.Errorf("%d pins are kept", len(k.pins))
	}
	for _, p := range k.pins {
		if p.CID != last || !strings.HasSuffix(p.Name, "/00000000000000000004") {
			t.Errorf("%+v is kept, the newest checkpoint is %s", p, last)
		}
	}
	for _, line := range []string{"does not accept the access token", "checkpoint " + last + " is not pinned at " + other + " yet; ask again with: skein checkpoint pin small --remote " + other} {
		if !strings.Contains(out, line) {
			t.Errorf("not told %q:\n%s", line, out)
		}
	}
	if strings.Contains(out, "pinned at "+kept.URL) || strings.Contains(out, "secret") {
		t.Errorf("told too much:\n%s", out)
	}
}

func TestServicesDoNotShareTokens(t *testing.T) {
	env := map[string]string{"SKEIN_PIN_TOKEN": "a", "SKEIN_PIN_TOKEN_PINS_EXAMPLE": "b", "SKEIN_PIN_TOKEN_OTHER_EXAMPLE": "c"}
	getenv := func(name string) string { return env[name] }
	for _, c := range []struct{ urls, want string }{
		{"https://third.example", ""},
		{"https://pins.example https://other.example/psa", ""},
		{"https://pins.example/one https://pins.example/two", ""},
		{"https://pins.example https://third.example", "SKEIN_PIN_TOKEN_THIRD_EXAMPLE"},
		{"https://pins.example https://pins-example", "would share the token"},
	} {
		clients, err := pinningServices(strings.Fields(c.urls), getenv)
		if c.want == "" && (err != nil || len(clients) != len(strings.Fields(c.urls))) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error %v, want %q", c.urls, err, c.want)
		}
	}
}
