package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/ipfs"
	"github.com/skein-train/skein/checkpoint/remote"
	"github.com/skein-train/skein/checkpoint/storetest"
)

// pinnable makes a run with one checkpoint, of which there is as much as a pin needs.
func pinnable(t *testing.T) (runs, cid string) {
	t.Helper()
	runs = t.TempDir()
	d := runDir(filepath.Join(runs, "tiny"))
	store, err := ipfs.Open(t.Context(), d.ipfs(), ipfs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	state := `{"run": "` + strings.Repeat("ab", 32) + `", "seq": 5}`
	cid, err = store.Add(t.Context(), "c", storetest.Files(map[string]string{"model.safetensors": "x", "skein/state.json": state}))
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoint.OpenIndex(d.checkpoints()).Add(checkpoint.Record{Seq: 5, CID: cid}); err != nil {
		t.Fatal(err)
	}
	return runs, cid
}

// pinHandler is a service with one pin, that is in the given state at once.
type pinHandler struct {
	state string
	asked remote.Pin
	there bool
}

func (h *pinHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	status := map[string]any{"requestid": "r1", "status": h.state, "created": time.Unix(0, 0), "pin": h.asked, "delegates": []string{}}
	reply := func(code int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(v)
	}
	switch {
	case r.Header.Get("Authorization") != "Bearer secret":
		reply(http.StatusUnauthorized, map[string]any{"error": map[string]string{"reason": "UNAUTHORIZED"}})
	case r.Method == http.MethodPost:
		_ = json.NewDecoder(r.Body).Decode(&h.asked)
		h.there, status["pin"] = true, h.asked
		reply(http.StatusAccepted, status)
	case r.Method == http.MethodDelete:
		h.there = false
		reply(http.StatusAccepted, nil)
	case r.URL.Path != "/pins":
		reply(http.StatusOK, status)
	case h.there:
		reply(http.StatusOK, map[string]any{"count": 1, "results": []any{status}})
	default:
		reply(http.StatusOK, map[string]any{"count": 0, "results": []any{}})
	}
}

func TestPin(t *testing.T) {
	runs, cid := pinnable(t)
	h := &pinHandler{state: "pinned"}
	service := httptest.NewServer(h)
	defer service.Close()
	t.Setenv(pinTokenVariable, "secret")
	pin := func(args ...string) (string, error) {
		return checkpointVerb(t, runs, append([]string{"pin", "tiny", "--remote", service.URL}, args...)...)
	}
	out, err := pin("--origin", "/ip4/192.0.2.1/tcp/1/p2p/x", "--listen", "/ip4/127.0.0.1/tcp/0")
	if want := fmt.Sprintf("checkpoint %s is pinned at %s (request r1)\n", cid, service.URL); err != nil || out != want {
		t.Fatalf("printed %q, want %q; error %v", out, want, err)
	}
	if h.asked.Name != "skein/abababab/00000000000000000005" || len(h.asked.Origins) != 2 || !strings.Contains(h.asked.Origins[1], "/ip4/127.0.0.1/tcp/") {
		t.Errorf("the service was asked for %+v", h.asked)
	}
	var s remote.Status
	if out, err = pin("--json"); err != nil || json.Unmarshal([]byte(out), &s) != nil || s.State != remote.Pinned || s.Pin.CID != cid {
		t.Errorf("as JSON: %q, error %v", out, err)
	}
	if out, err = pin("--remove"); err != nil || h.there || !strings.Contains(out, "is not pinned") {
		t.Errorf("removing: %q, error %v", out, err)
	}
	h.state = "queued"
	if out, err = pin("--wait", "0"); err != nil || !strings.Contains(out, "is queued at") {
		t.Errorf("without waiting: %q, error %v", out, err)
	}
	if _, err = pin("--wait", "10ms"); err == nil || !strings.Contains(err.Error(), "still queued") {
		t.Errorf("waiting in vain: error %v", err)
	}
	h.state = "failed"
	if _, err = pin(); err == nil || !strings.Contains(err.Error(), "could not pin it") {
		t.Errorf("a failed pin: error %v", err)
	}
}

func TestPinNeedsItsToken(t *testing.T) {
	runs, _ := pinnable(t)
	service := httptest.NewServer(&pinHandler{state: "pinned"})
	defer service.Close()
	pin := func() error {
		_, err := checkpointVerb(t, runs, "pin", "tiny", "--remote", service.URL)
		return err
	}
	t.Setenv(pinTokenVariable, "")
	if err := pin(); err == nil || !strings.Contains(err.Error(), "SKEIN_PIN_TOKEN or SKEIN_PIN_TOKEN_127_0_0_1") {
		t.Errorf("no token: error %v", err)
	}
	t.Setenv(pinTokenVariable, "other")
	if err := pin(); err == nil || !strings.Contains(err.Error(), "does not accept the access token") || strings.Contains(err.Error(), "other") {
		t.Errorf("a wrong token: error %v", err)
	}
	t.Setenv(pinTokenVariable+"_127_0_0_1", "secret")
	if err := pin(); err != nil {
		t.Errorf("the service's own token: error %v", err)
	}
}
