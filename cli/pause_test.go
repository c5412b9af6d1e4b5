package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMainsPower(t *testing.T) {
	for name, c := range map[string]struct {
		supplies  map[string]map[string]string
		on, known bool
	}{
		"a server":           {map[string]map[string]string{}, true, true},
		"plugged in":         {map[string]map[string]string{"AC": {"type": "Mains", "online": "1"}, "BAT0": {"type": "Battery"}}, true, true},
		"on battery":         {map[string]map[string]string{"AC": {"type": "Mains", "online": "0"}, "BAT0": {"type": "Battery"}}, false, true},
		"charged over USB-C": {map[string]map[string]string{"ucsi": {"type": "USB", "online": "1"}, "BAT0": {"type": "Battery"}}, true, true},
		"a wireless mouse":   {map[string]map[string]string{"hid": {"type": "Battery", "scope": "Device"}}, true, true},
	} {
		dir := t.TempDir()
		for supply, files := range c.supplies {
			for file, text := range files {
				path := filepath.Join(dir, supply, file)
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, []byte(text+"\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		if on, known := mainsPower(dir); on != c.on || known != c.known {
			t.Errorf("%s: mains %v, known %v", name, on, known)
		}
	}
	if _, known := mainsPower(filepath.Join(t.TempDir(), "absent")); known {
		t.Error("a system that says nothing is said to be known")
	}
}
