package cli

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// obey pauses and resumes the guest when the machine's owner says so, by a signal, or its battery does. The function that it
// returns ends that.
func (g *guest) obey(ctx context.Context, mains <-chan bool) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	told, silence := pauseSignals()
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			select {
			case on := <-told:
				g.pause(on)
			case on := <-mains:
				g.pause(!on)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); busy.Wait(); silence() }
}

// powerSupplies is where Linux tells about mains and batteries.
const powerSupplies = "/sys/class/power_supply"

// watchPower says whenever the machine goes on or off mains power; a nil channel if nobody asked.
func watchPower(asked bool) (<-chan bool, error) {
	if !asked {
		return nil, nil
	}
	on, known := mainsPower(powerSupplies)
	if !known {
		return nil, errors.New("--pause-on-battery: this machine does not tell whether it has mains power; leave the flag out, and pause by hand (skein join --help)")
	}
	changes := make(chan bool, 1)
	if !on {
		changes <- false
	}
	go func() {
		for range time.Tick(5 * time.Second) {
			if now, known := mainsPower(powerSupplies); known && now != on {
				on = now
				changes <- on
			}
		}
	}()
	return changes, nil
}

// mainsPower reads whether a machine has mains power. Without a battery it always has.
func mainsPower(dir string) (on, known bool) {
	supplies, err := os.ReadDir(dir)
	if err != nil {
		return false, false
	}
	read := func(s os.DirEntry, name string) string {
		b, _ := os.ReadFile(filepath.Join(dir, s.Name(), name))
		return strings.TrimSpace(string(b))
	}
	battery, mains := false, false
	for _, s := range supplies {
		switch read(s, "type") {
		case "Battery":
			battery = battery || read(s, "scope") != "Device" // a mouse's is not the machine's
		case "Mains", "USB", "Wireless":
			mains = mains || read(s, "online") == "1"
		}
	}
	return mains || !battery, true
}
