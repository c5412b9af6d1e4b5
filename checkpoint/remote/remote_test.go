package remote_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint/remote"
)

func TestAPinIsAddedAndFollowed(t *testing.T) {
	s := &service{}
	c := serve(t, s)
	asked := remote.Pin{CID: cidA, Name: "tiny/5", Origins: []string{"/ip4/127.0.0.1/tcp/1/p2p/x"}, Meta: map[string]string{"round": "5"}}
	first, err := c.Ensure(t.Context(), asked)
	if err != nil {
		t.Fatal(err)
	}
	var seen []remote.State
	last, err := c.Wait(t.Context(), first, func(s remote.Status) { seen = append(seen, s.State) })
	if err != nil || !slices.Equal(seen, []remote.State{remote.Queued, remote.Pinning, remote.Pinned}) {
		t.Fatalf("saw %v, error %v", seen, err)
	}
	if last.Pin.CID != cidA || last.Pin.Name != "tiny/5" || last.Detail != "looking for providers" || len(last.Delegates) != 1 {
		t.Errorf("got %+v", last)
	}
	if body := s.pins[0].body; fmt.Sprint(body["origins"]) != "[/ip4/127.0.0.1/tcp/1/p2p/x]" || fmt.Sprint(body["meta"]) != "map[round:5]" {
		t.Errorf("the service was asked for %v", body)
	}
}

func TestEnsureMakesNoSecondPin(t *testing.T) {
	s := &service{}
	c := serve(t, s)
	want, err := c.Ensure(t.Context(), remote.Pin{CID: cidA, Name: "a"})
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Ensure(t.Context(), remote.Pin{CID: cidA, Name: "a"}); err != nil || again.ID != want.ID {
		t.Errorf("again: %+v, error %v", again, err)
	}
	s.pins[0].state = "failed"
	if anew, err := c.Ensure(t.Context(), remote.Pin{CID: cidA, Name: "a"}); err != nil || anew.ID == want.ID {
		t.Errorf("after a failure: %+v, error %v", anew, err)
	}
}

func TestForgetLeavesOtherPinsAlone(t *testing.T) {
	s := &service{}
	c := serve(t, s)
	for _, p := range []remote.Pin{{CID: cidA, Name: "a"}, {CID: cidA, Name: "somebody's"}, {CID: cidB, Name: "a"}, {CID: cidA, Name: "a"}} {
		if _, err := c.Add(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if err := c.Forget(t.Context(), cidA, "a"); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.pins) != 2 || s.pins[0].body["name"] != "somebody's" || s.pins[1].body["cid"] != cidB {
		t.Errorf("%d pins are left", len(s.pins))
	}
}

func TestWhatTheServiceRefuses(t *testing.T) {
	for code, want := range map[int]error{
		301: remote.ErrAnswer, 400: remote.ErrRefused, 401: remote.ErrToken, 402: remote.ErrQuota, 403: remote.ErrToken, 404: remote.ErrNotFound,
		409: remote.ErrQuota, 413: remote.ErrQuota, 418: remote.ErrRefused, 429: remote.ErrBusy, 500: remote.ErrBusy, 503: remote.ErrBusy,
	} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, code, "BECAUSE", "it says so\x1b[31m") })
		_, err := c.Add(t.Context(), remote.Pin{CID: cidA})
		if !errors.Is(err, want) || code >= 400 && !strings.Contains(err.Error(), "BECAUSE, it says so") || strings.ContainsRune(err.Error(), 0x1b) {
			t.Errorf("status %d: error %q, want %v", code, err, want)
		}
	}
}

func TestRefusalsOfTheServiceItself(t *testing.T) {
	s := &service{full: true}
	c := serve(t, s)
	if _, err := c.Ensure(t.Context(), remote.Pin{CID: cidA}); !errors.Is(err, remote.ErrQuota) || !strings.Contains(err.Error(), "lack of funds") {
		t.Errorf("no room: error %v", err)
	}
	if _, err := c.Get(t.Context(), "../secret?x"); !errors.Is(err, remote.ErrNotFound) {
		t.Errorf("unknown pin: error %v", err)
	}
	s.full, s.final = false, "failed"
	first, err := c.Add(t.Context(), remote.Pin{CID: cidA})
	if err != nil {
		t.Fatal(err)
	}
	if last, err := c.Wait(t.Context(), first, func(remote.Status) {}); !errors.Is(err, remote.ErrFailed) || last.State != remote.Failed {
		t.Errorf("failed pin: %+v, error %v", last, err)
	}
}

// A redirect would carry the token elsewhere.
func TestTheTokenGoesToNobodyElse(t *testing.T) {
	var strangers atomic.Int64
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers.Add(1) }))
	defer stranger.Close()
	c := client(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
	})
	if _, err := c.Add(t.Context(), remote.Pin{CID: cidA}); !errors.Is(err, remote.ErrAnswer) || strangers.Load() > 0 {
		t.Errorf("error %v, %d requests elsewhere", err, strangers.Load())
	}
	for _, base := range []string{"http://pins.example/psa", "ftp://pins.example", "https://me:secret@pins.example", "pins.example", "https://pins.example/?a=b", "https://", ""} {
		if _, err := remote.New(base, remote.Options{Token: token}); err == nil {
			t.Errorf("%q was taken", base)
		}
	}
	for _, bad := range []string{"", "two words", "line\nfeed", "ä"} {
		if _, err := remote.New("https://pins.example", remote.Options{Token: bad}); !errors.Is(err, remote.ErrToken) || strings.Contains(err.Error(), "two words") {
			t.Errorf("token %q: error %v", bad, err)
		}
	}
}

func TestHostileAnswers(t *testing.T) {
	status := func(change string) string {
		good := `{"requestid":"1","status":"queued","created":"2026-01-02T03:04:05Z","pin":{"cid":"` + cidA + `"},"delegates":[],"extra":[1]}`
		old, now, _ := strings.Cut(change, "→")
		return strings.Replace(good, old, now, 1)
	}
	for name, body := range map[string]string{
		"empty":      "",
		"html":       "<html>welcome</html>",
		"no id":      status(`"1"→""`),
		"long id":    status(`"1"→"` + strings.Repeat("x", 600) + `"`),
		"state":      status(`queued→on its way`),
		"no CID":     status(cidA + `→x`),
		"other CID":  status(cidA + `→` + cidB),
		"time":       status(`2026-→`),
		"type":       status(`"queued"→7`),
		"too long":   status(`[1]→"` + strings.Repeat("x", 3<<20) + `"`),
		"cut":        status(`}→`)[:40],
		"deep":       strings.Repeat("[", 1<<20),
		"null bytes": "\x00\x00",
	} {
		c := client(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		if _, err := c.Add(t.Context(), remote.Pin{CID: cidA}); !errors.Is(err, remote.ErrAnswer) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	c := client(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, status("→")) })
	if s, err := c.Add(t.Context(), remote.Pin{CID: cidA}); err != nil || s.ID != "1" {
		t.Errorf("the good answer: %+v, error %v", s, err)
	}
	list := func(n int) string {
		return `{"count":1,"results":[` + strings.Repeat(status("→")+",", n) + status("→") + `]}`
	}
	c = client(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, list(1000)) })
	if _, err := c.Find(t.Context(), cidA); !errors.Is(err, remote.ErrAnswer) {
		t.Errorf("a list without end: error %v", err)
	}
	c = client(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, list(3)) })
	if found, err := c.Find(t.Context(), cidB); err != nil || len(found) > 0 {
		t.Errorf("pins of other CIDs: %v, error %v", found, err)
	}
}

// An answer that trickles ends with the time-out, one that never ends with its limit.
func TestSlowAnswers(t *testing.T) {
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := fmt.Fprint(w, " "); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(time.Millisecond):
			}
		}
	}))
	defer slow.Close()
	c, err := remote.New(slow.URL, remote.Options{Token: token, Timeout: 50 * time.Millisecond, Every: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Get(t.Context(), "1"); !errors.Is(err, remote.ErrBusy) {
		t.Errorf("a trickle: error %v", err)
	}
	endless := client(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk := strings.Repeat(" ", 64<<10)
		for {
			if _, err := fmt.Fprint(w, chunk); err != nil {
				return
			}
		}
	})
	if _, err := endless.Get(t.Context(), "1"); !errors.Is(err, remote.ErrAnswer) {
		t.Errorf("an endless answer: error %v", err)
	}
}

func TestWaitBearsAnOverloadedService(t *testing.T) {
	s := &service{}
	c := serve(t, s)
	first, err := c.Add(t.Context(), remote.Pin{CID: cidA})
	if err != nil {
		t.Fatal(err)
	}
	var looks atomic.Int64
	busy := func(until int64) *remote.Client {
		looks.Store(0)
		return client(t, func(w http.ResponseWriter, r *http.Request) {
			if looks.Add(1) <= until {
				fail(w, http.StatusServiceUnavailable, "OVERLOADED", "")
				return
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			answer(w, http.StatusOK, s.pins[0].status())
		})
	}
	s.pins[0].state = "pinned"
	if last, err := busy(5).Wait(t.Context(), first, func(remote.Status) {}); err != nil || last.State != remote.Pinned {
		t.Errorf("five failures: %+v, error %v", last, err)
	}
	if _, err := busy(1<<20).Wait(t.Context(), first, func(remote.Status) {}); !errors.Is(err, remote.ErrBusy) || looks.Load() > 20 {
		t.Errorf("no end of failures: error %v after %d looks", err, looks.Load())
	}
	over, cancel := context.WithCancel(t.Context())
	if _, err := busy(1<<20).Wait(over, first, func(remote.Status) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: error %v", err)
	}
}

func TestBadPins(t *testing.T) {
	c := client(t, func(http.ResponseWriter, *http.Request) { t.Error("the service was asked") })
	for name, p := range map[string]remote.Pin{
		"CID":     {CID: "../../etc"},
		"name":    {CID: cidA, Name: strings.Repeat("x", 256)},
		"origins": {CID: cidA, Origins: make([]string, 21)},
	} {
		if _, err := c.Ensure(t.Context(), p); err == nil {
			t.Errorf("bad %s was taken", name)
		}
	}
}
