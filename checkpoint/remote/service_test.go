package remote_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skein-train/skein/checkpoint/remote"
)

const (
	token = "a-token"
	cidA  = "bafybeiaumsoecgwym4ciy7z7be2cmo4f4asvfogq6572i3xsydd7qdrmz4"
	cidB  = "bafybeiczsscdsbs7ffqz55asqdf3smv6klcw3gofszvwlyarci47bgf354"
)

// service is a pinning service in memory, as the API describes it. A pin is queued, pinning at the first look, and in its final
// state at the second.
type service struct {
	mu       sync.Mutex
	pins     []*pin
	requests []string // method and path of each
	full     bool     // no room left
	final    string   // state that pins end in
}

type pin struct {
	id, state string
	created   time.Time
	body      map[string]any
}

func (p *pin) status() map[string]any {
	return map[string]any{
		"requestid": p.id, "status": p.state, "created": p.created, "pin": p.body,
		"delegates": []string{"/ip4/203.0.113.1/tcp/4001/p2p/12D3KooWSource"}, "info": map[string]any{"status_details": "looking for providers"},
	}
}

func serve(t *testing.T, s *service) *remote.Client {
	t.Helper()
	if s.final == "" {
		s.final = "pinned"
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /psa/pins", s.add)
	mux.HandleFunc("GET /psa/pins", s.list)
	mux.HandleFunc("GET /psa/pins/{id}", s.get)
	mux.HandleFunc("DELETE /psa/pins/{id}", s.remove)
	return client(t, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.requests = append(s.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/psa"))
		if r.Header.Get("Authorization") != "Bearer "+token {
			fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "Access token is missing or invalid")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// client is one of a real server with that handler, below /psa.
func client(t *testing.T, h http.HandlerFunc) *remote.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	c, err := remote.New(server.URL+"/psa/", remote.Options{Token: token, Timeout: 5 * time.Second, Every: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, code int, reason, details string) {
	answer(w, code, map[string]any{"error": map[string]string{"reason": reason, "details": details}})
}

func (s *service) add(w http.ResponseWriter, r *http.Request) {
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body["cid"] == nil || r.Header.Get("Content-Type") != "application/json" {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "")
		return
	}
	if s.full {
		fail(w, http.StatusConflict, "INSUFFICIENT_FUNDS", "Unable to process request due to the lack of funds")
		return
	}
	p := &pin{id: fmt.Sprintf("id/%d", len(s.pins)), state: "queued", created: time.Unix(int64(len(s.pins)), 0).UTC(), body: body}
	s.pins = append(s.pins, p)
	answer(w, http.StatusAccepted, p.status())
}

func (s *service) list(w http.ResponseWriter, r *http.Request) {
	states := strings.Split(r.URL.Query().Get("status"), ",")
	found := []any{}
	for _, p := range s.pins {
		if slices.Contains(strings.Split(r.URL.Query().Get("cid"), ","), fmt.Sprint(p.body["cid"])) && slices.Contains(states, p.state) {
			found = append(found, p.status())
		}
	}
	answer(w, http.StatusOK, map[string]any{"count": len(found), "results": found})
}

func (s *service) find(w http.ResponseWriter, r *http.Request) *pin {
	i := slices.IndexFunc(s.pins, func(p *pin) bool { return p.id == r.PathValue("id") })
	if i < 0 {
		fail(w, http.StatusNotFound, "NOT_FOUND", "The specified resource was not found")
		return nil
	}
	return s.pins[i]
}

func (s *service) get(w http.ResponseWriter, r *http.Request) {
	if p := s.find(w, r); p != nil {
		switch p.state {
		case "queued":
			p.state = "pinning"
		case "pinning":
			p.state = s.final
		}
		answer(w, http.StatusOK, p.status())
	}
}

func (s *service) remove(w http.ResponseWriter, r *http.Request) {
	if p := s.find(w, r); p != nil {
		s.pins = slices.DeleteFunc(s.pins, func(o *pin) bool { return o == p })
		w.WriteHeader(http.StatusAccepted)
	}
}
