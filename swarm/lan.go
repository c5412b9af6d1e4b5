package swarm

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/zeroconf/v2"
	"github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/skein-train/skein/aggregator"
)

// Runs are told about on the local network by multicast DNS (RFC 6762, RFC 6763): a service of this name, whose text
// records hold version, run, name and addresses. That uses UDP port 5353, which the system's own resolver shares.
const (
	lanService = "_skein._udp"
	lanDomain  = "local."
	lanVersion = "skein=1"

	lanAddrs = 4  // addresses told: the records fit one packet
	lanRuns  = 64 // found at most
	lanName  = 64 // characters of a name
)

// Found is a run that a peer on the local network tells about. All of it is a stranger's word: FetchRun asks for the proof.
type Found struct {
	Run   aggregator.Hash
	Name  string   // printable, at most 64 characters
	Addrs []string // multiaddrs of one peer, with its identity
}

// announce tells the local network about the run, if the options give it a name. That nobody can be told is no error.
func (n *Node) announce() error {
	if n.Announce == "" {
		return nil
	}
	infos, err := addrInfos(n.Addrs())
	if err != nil || len(infos) == 0 {
		return err
	}
	addrs := tellable(infos[0].Addrs)
	server, err := zeroconf.RegisterProxy(n.host.ID().ShortString(), lanService, lanDomain, port(addrs), n.host.ID().String()[:12],
		ips(addrs), lanText(n.run, n.Announce, infos[0].ID, addrs), nil)
	if err != nil {
		n.Log.Warn("the run is not announced on the local network: no interface for multicast", "err", err)
		return nil
	}
	n.hush = server.Shutdown
	return nil
}

// tellable prefers addresses that others can dial.
func tellable(addrs []multiaddr.Multiaddr) []multiaddr.Multiaddr {
	out := dialable(addrs, false)
	if len(out) == 0 { // found on this machine, at least
		out = dialable(addrs, true)
	}
	return out[:min(len(out), lanAddrs)]
}

func ips(addrs []multiaddr.Multiaddr) (out []string) {
	for _, a := range addrs {
		if ip, err := manet.ToIP(a); err == nil && !slices.Contains(out, ip.String()) {
			out = append(out, ip.String())
		}
	}
	return out
}

// port is what the service record wants to hear; nobody reads it.
func port(addrs []multiaddr.Multiaddr) int {
	for _, a := range addrs {
		for _, code := range []int{multiaddr.P_TCP, multiaddr.P_UDP} {
			if v, err := a.ValueForProtocol(code); err == nil {
				if n, err := strconv.Atoi(v); err == nil && n > 0 {
					return n
				}
			}
		}
	}
	return 1
}

// lanText are the text records. The name is escaped: DNS libraries have escapes of their own for what is not ASCII.
func lanText(run aggregator.Hash, name string, id peer.ID, addrs []multiaddr.Multiaddr) []string {
	out := []string{lanVersion, "run=" + run.String(), "name=" + url.QueryEscape(printable(name))}
	for _, a := range addrs {
		out = append(out, fmt.Sprintf("addr=%s/p2p/%s", a, id))
	}
	return out
}

// printable drops what could play tricks with a terminal, and cuts to lanName characters, and to what fits a record.
func printable(s string) string {
	var out []rune
	escaped := 0
	for _, r := range s {
		if !unicode.IsPrint(r) {
			continue
		}
		escaped += len(url.QueryEscape(string(r)))
		if len(out) == lanName || escaped > 240 {
			break
		}
		out = append(out, r)
	}
	return string(out)
}

// readFound reads text records from hostile bytes.
func readFound(text []string) (f Found, ok bool) {
	var id peer.ID
	for i, line := range text {
		key, value, _ := strings.Cut(line, "=")
		switch {
		case i == 0:
			if line != lanVersion {
				return f, false
			}
		case len(line) > 255:
			return f, false
		case key == "run":
			if len(value) != 2*len(f.Run) {
				return f, false
			}
			if _, err := hex.Decode(f.Run[:], []byte(value)); err != nil {
				return f, false
			}
			ok = true
		case key == "name":
			name, err := url.QueryUnescape(value)
			if err != nil {
				return f, false
			}
			f.Name = printable(name)
		case key == "addr" && len(f.Addrs) < lanAddrs:
			infos, err := addrInfos([]string{value})
			if err != nil || len(dialable(infos[0].Addrs, true)) == 0 || id != "" && infos[0].ID != id {
				return f, false
			}
			id = infos[0].ID
			f.Addrs = append(f.Addrs, value)
		}
	}
	return f, ok && len(f.Addrs) > 0
}

// Discover listens on the local network for as long as it is told to wait (two seconds find whoever answers) and lists the
// runs that peers announce there, one entry per peer, by run. It listens on UDP port 5353 meanwhile.
func Discover(ctx context.Context, wait time.Duration) ([]Found, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	out, err := gather(ctx, browse(zeroconf.IPv4AndIPv6))
	if err != nil && ctx.Err() == nil { // no IPv6 here
		out, err = gather(ctx, browse(zeroconf.IPv4))
	}
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("swarm: looking for runs on the local network: %w: pass the address of a run instead", err)
	}
	return out, nil
}

// browser sends what it hears until ctx ends; it may close the channel.
type browser func(context.Context, chan<- *zeroconf.ServiceEntry) error

func browse(traffic zeroconf.IPType) browser {
	return func(ctx context.Context, entries chan<- *zeroconf.ServiceEntry) error {
		return zeroconf.Browse(ctx, lanService, lanDomain, entries, zeroconf.SelectIPTraffic(traffic))
	}
}

// gather reads what a browser hears.
func gather(ctx context.Context, browse browser) (out []Found, err error) {
	entries, done := make(chan *zeroconf.ServiceEntry), make(chan error, 1)
	heard := (<-chan *zeroconf.ServiceEntry)(entries)
	go func() { done <- browse(ctx, entries) }()
	for {
		select {
		case e := <-heard:
			if e == nil {
				heard = nil
				continue
			}
			f, ok := readFound(e.Text)
			if ok && len(out) < lanRuns && !slices.ContainsFunc(out, func(g Found) bool { return g.Addrs[0] == f.Addrs[0] }) {
				out = append(out, f)
			}
		case err := <-done:
			slices.SortFunc(out, func(a, b Found) int { return slices.Compare(a.key(), b.key()) })
			return out, err
		}
	}
}

func (f *Found) key() []string { return append([]string{f.Run.String()}, f.Addrs...) }
