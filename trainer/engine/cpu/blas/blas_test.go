package blas

import (
	"strings"
	"testing"
)

func TestProbe(t *testing.T) {
	names := map[string]bool{}
	for _, l := range Probe() {
		t.Logf("%+v", l)
		if names[l.Name] {
			t.Errorf("%s is listed twice", l.Name)
		}
		names[l.Name] = true
		if l.Found && (l.Path == "" || l.Title == "") {
			t.Errorf("%s is found but has no path or title: %+v", l.Name, l)
		}
		if !l.Found && l.Note == "" {
			t.Errorf("%s is not found and does not say why", l.Name)
		}
		_, opened, err := Open(l.Name)
		if (err == nil) != l.Found {
			t.Errorf("%s found: %v, opened: %v", l.Name, l.Found, err)
		}
		if err == nil && opened.Name != l.Name {
			t.Errorf("asked for %s, got %s", l.Name, opened.Name)
		}
	}
	if !names["gonum"] || !names["builtin"] {
		t.Errorf("gonum and builtin are on every system, probed %v", names)
	}
}

func TestOpenTakesTheFirstFound(t *testing.T) {
	_, got, err := Open("")
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range Probe() {
		if l.Found {
			if l.Name != got.Name {
				t.Errorf("opened %s, the first found is %s", got.Name, l.Name)
			}
			return
		}
	}
}

func TestOpenUnknown(t *testing.T) {
	if _, _, err := Open("nonesuch"); err == nil || !strings.Contains(err.Error(), "openblas") {
		t.Errorf("error %v, want one that lists the names", err)
	}
}

func TestAdvice(t *testing.T) {
	missing := []Library{{Title: "oneDNN", Install: "apt install libdnnl2", Note: "no"}, {Title: "gonum", Found: true}}
	if a := Advice(missing); !strings.Contains(a, "apt install libdnnl2") {
		t.Errorf("advice %q does not say what to install", a)
	}
	missing[0].Found = true
	if a := Advice(missing); a != "" {
		t.Errorf("advice %q though a library is there", a)
	}
}
