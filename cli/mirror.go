package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/remote"
)

// mirrors are the services that keep a run's newest checkpoints beside this machine. A service that fails is told of, and
// never ends the run.
type mirrors []*mirror

// mirror is one service.
type mirror struct {
	*remote.Mirror
	url  string
	out  *console
	keep int

	mu      sync.Mutex
	asked   []remote.Pin // what the service may hold of the run, by round
	pending string       // CID of the newest checkpoint until the service has it
}

// finalPatience is how long a finished run waits for its services, which fetch from it.
const finalPatience = 3 * time.Minute

// maxAsked bounds the pins that a service failed to take off and is asked about again.
const maxAsked = 64

// pinningServices makes the clients of the services of a run file. Where there are several, none is sent the token of another.
func pinningServices(urls []string, getenv func(string) string) ([]*remote.Client, error) {
	if len(urls) > 1 {
		if err := separateTokens(urls, getenv); err != nil {
			return nil, err
		}
	}
	var out []*remote.Client
	for _, u := range urls {
		c, err := pinningService(u, getenv)
		if err != nil {
			return nil, fmt.Errorf("checkpoint.remote: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}

// separateTokens checks that each service has a variable of its own, and that no two hosts share one.
func separateTokens(urls []string, getenv func(string) string) error {
	hosts := map[string]string{}
	for _, address := range urls {
		own := tokenVariable(address)
		if getenv(own) == "" {
			return fmt.Errorf("checkpoint.remote names %d services: put the access token of %s into the environment variable %s; %s would send one service's token to all",
				len(urls), address, own, pinTokenVariable)
		}
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		if other, taken := hosts[own]; taken && other != u.Hostname() {
			return fmt.Errorf("checkpoint.remote: %s and %s would share the token in %s: use one of them", other, u.Hostname(), own)
		}
		hosts[own] = u.Hostname()
	}
	return nil
}

// openMirrors begins to keep checkpoints at the services of the run file. What earlier lives pinned there is taken off in time.
func (s *session) openMirrors(context.Context) error {
	if len(s.services) == 0 {
		return nil
	}
	records, err := checkpoint.OpenIndex(s.dir.checkpoints()).Records()
	if err != nil {
		return err
	}
	var before []remote.Pin
	for _, r := range records {
		before = append(before, remote.Pin{CID: r.CID, Name: checkpoint.PinName(s.manifest.Hash(), r.Seq)})
	}
	for i, c := range s.services {
		m := &mirror{url: s.cfg.Checkpoint.Remote[i], out: s.out, keep: s.cfg.Checkpoint.Keep, asked: slices.Clone(before)}
		m.Mirror = remote.NewMirror(c, remote.MirrorOptions{
			Origins: func() []string { return reachable(s.seat.node.Addrs()) },
			Meet:    s.seat.node.Meet,
			Tell:    func(got remote.Status, err error) { m.told(s.log, got, err) },
		})
		s.mirrors = append(s.mirrors, m)
	}
	return nil
}

// reachable are the addresses that other machines can dial, or all if there are none.
func reachable(addrs []string) []string {
	if far := slices.DeleteFunc(slices.Clone(addrs), loopback); len(far) > 0 {
		return far
	}
	return addrs
}

// publish has all services keep a checkpoint. It returns at once.
func (ms mirrors) publish(cid, name string) {
	for _, m := range ms {
		m.publish(remote.Pin{CID: cid, Name: name})
	}
}

func (m *mirror) publish(p remote.Pin) {
	m.mu.Lock()
	m.asked = slices.DeleteFunc(m.asked, func(o remote.Pin) bool { return o.Name >= p.Name }) // of a run that went another way
	m.asked = append(m.asked, p)
	m.asked = m.asked[max(0, len(m.asked)-m.keep-maxAsked):]
	old := slices.Clone(m.asked[:max(0, len(m.asked)-m.keep)])
	m.pending = p.CID
	m.mu.Unlock()
	m.Publish(p, old...)
}

// told hears what has become of a checkpoint: of the newest one, or of one that a newer one is about to follow.
func (m *mirror) told(log *slog.Logger, got remote.Status, err error) {
	if err != nil {
		log.Warn("a pinning service does not keep the checkpoint; the run goes on", "service", m.url, "because", err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := slices.IndexFunc(m.asked, func(p remote.Pin) bool { return p.CID == got.Pin.CID }); i >= 0 {
		m.asked = m.asked[max(0, i+1-m.keep):] // the older ones are off
	}
	if m.pending == got.Pin.CID {
		m.pending = ""
	}
}

// settle waits, for a while, until the services have the last checkpoint, and says which have not.
func (ms mirrors) settle(ctx context.Context, command string) {
	if len(ms) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, finalPatience)
	defer cancel()
	var waiting sync.WaitGroup
	for _, m := range ms {
		waiting.Go(func() {
			m.out.update("waiting for %s to have the checkpoint", m.url)
			_ = m.Close(ctx) // what is pending says it
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.pending != "" {
				m.out.line("checkpoint %s is not pinned at %s yet; ask again with: %s --remote %s", m.pending, m.url, command, m.url)
				m.pending = ""
			}
		})
	}
	waiting.Wait()
	ms[0].out.update("")
}

// close gives up what is under way.
func (ms mirrors) close(command string) {
	over, cancel := context.WithCancel(context.Background())
	cancel()
	ms.settle(over, command)
}
