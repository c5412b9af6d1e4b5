package remote_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/skein-train/skein/checkpoint/remote"
)

func TestMirrorPinsTheNewBeforeItLetsGoOfTheOld(t *testing.T) {
	s := &service{}
	var met []string
	var told []remote.State
	m := remote.NewMirror(serve(t, s), remote.MirrorOptions{
		Origins: func() []string { return make([]string, 30) },
		Meet:    func(_ context.Context, to []string) error { met = to; return errors.New("not today") },
		Tell:    func(s remote.Status, err error) { told = append(told, s.State); must(t, err) },
	})
	first, second := remote.Pin{CID: cidA, Name: "5"}, remote.Pin{CID: cidB, Name: "10"}
	m.Publish(first)
	must(t, m.Close(t.Context()))
	m = remote.NewMirror(serve(t, s), remote.MirrorOptions{Tell: func(s remote.Status, err error) { told = append(told, s.State); must(t, err) }})
	m.Publish(second, first)
	must(t, m.Close(t.Context()))
	if len(s.pins) != 1 || s.pins[0].body["cid"] != cidB || s.pins[0].state != "pinned" {
		t.Errorf("the service has %d pins", len(s.pins))
	}
	if len(met) != 1 || !slices.Equal(told, []remote.State{remote.Pinned, remote.Pinned}) {
		t.Errorf("met %v, told %v", met, told)
	}
	last := s.requests[len(s.requests)-3:] // it is seen pinned, then the old one is looked for and taken off
	if !slices.Equal(last, []string{"GET /pins/id/1", "GET /pins", "DELETE /pins/id/0"}) {
		t.Errorf("the requests end in %v", last)
	}
}

// A service that never gets on keeps neither the next checkpoint nor the end of the run waiting, and loses no old pin.
func TestMirrorOfAStuckService(t *testing.T) {
	s := &service{final: "pinning"}
	m := remote.NewMirror(serve(t, s), remote.MirrorOptions{Tell: func(s remote.Status, err error) { t.Errorf("told %+v, %v", s, err) }})
	for range 3 {
		m.Publish(remote.Pin{CID: cidA, Name: "5"})
	}
	m.Publish(remote.Pin{CID: cidB, Name: "10"}, remote.Pin{CID: cidA, Name: "5"})
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Close(over); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	s.mu.Lock() // a handler may still be at work
	defer s.mu.Unlock()
	if slices.ContainsFunc(s.requests, func(r string) bool { return r[:6] == "DELETE" }) {
		t.Errorf("an old pin was taken off: %v", s.requests)
	}
}

func TestMirrorTellsOfTrouble(t *testing.T) {
	c := client(t, func(w http.ResponseWriter, _ *http.Request) { fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "") })
	var told error
	m := remote.NewMirror(c, remote.MirrorOptions{Tell: func(_ remote.Status, err error) { told = err }})
	m.Publish(remote.Pin{CID: cidA})
	must(t, m.Close(t.Context()))
	if !errors.Is(told, remote.ErrToken) {
		t.Errorf("told %v", told)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}
