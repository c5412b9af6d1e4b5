package ipfs

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const childEnv = "SKEIN_FETCH_CHILD"

// childJob is what a child process does: it fetches a folder from peers, and pins it.
type childJob struct {
	Dir, CID string
	Peers    []string // multiaddresses
}

// child runs in a process of its own, which the test kills. Its key is the same every time, as a worker's is.
func child(job string) int {
	err := func() error {
		var j childJob
		if err := json.Unmarshal([]byte(job), &j); err != nil {
			return err
		}
		ctx := context.Background()
		key, _, err := crypto.GenerateEd25519Key(bytes.NewReader(make([]byte, 32)))
		if err != nil {
			return err
		}
		h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs)
		if err != nil {
			return err
		}
		for _, p := range j.Peers {
			to, err := peer.AddrInfoFromString(p)
			if err != nil {
				return err
			}
			if err := h.Connect(ctx, *to); err != nil {
				return err
			}
		}
		s, err := Open(ctx, j.Dir, Options{Exchange: Bitswap(h)})
		if err != nil {
			return err
		}
		if _, err := s.Fetch(ctx, j.CID, FetchOptions{}); err != nil {
			return err
		}
		if err := s.Pin(ctx, j.CID, "fetched"); err != nil {
			return err
		}
		return s.Close()
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// road is a TCP road to a host with a speed limit, which counts the bytes on it.
type road struct {
	addr  string // multiaddress of the host by way of the link
	bytes atomic.Int64
}

func newRoad(t testing.TB, h host.Host, perSecond int) *road {
	t.Helper()
	to := ""
	for _, a := range h.Addrs() {
		if s := a.String(); strings.HasPrefix(s, "/ip4/127.0.0.1/tcp/") {
			to = "127.0.0.1:" + strings.TrimPrefix(s, "/ip4/127.0.0.1/tcp/")
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	out := &road{addr: fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", l.Addr().(*net.TCPAddr).Port, h.ID())}
	limit := rate.NewLimiter(rate.Limit(perSecond), 16<<10)
	ctx, cancel := context.WithCancel(t.Context())
	var busy sync.WaitGroup
	t.Cleanup(func() { cancel(); _ = l.Close(); busy.Wait() })
	busy.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			busy.Go(func() { out.carry(ctx, in, to, limit) })
		}
	})
	return out
}

func (l *road) carry(ctx context.Context, in net.Conn, to string, limit *rate.Limiter) {
	var d net.Dialer
	back, err := d.DialContext(ctx, "tcp", to)
	if err != nil {
		_ = in.Close()
		return
	}
	end := func() { _ = in.Close(); _ = back.Close() }
	defer context.AfterFunc(ctx, end)()
	var both sync.WaitGroup
	pipe := func(dst io.Writer, src io.Reader) {
		defer end()
		part := make([]byte, 16<<10)
		for {
			n, err := src.Read(part)
			if err != nil || limit.WaitN(ctx, n) != nil {
				return
			}
			l.bytes.Add(int64(n))
			if _, err := dst.Write(part[:n]); err != nil {
				return
			}
		}
	}
	both.Go(func() { pipe(back, in) })
	both.Go(func() { pipe(in, back) })
	both.Wait()
}

func runChild(t testing.TB, j childJob) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	job, err := json.Marshal(j)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+string(job))
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return cmd, &said
}

// TestKilledFetches kills a fetching process at random moments and compares the bytes on its links with those of a fetch that was
// left alone. KILL_MIB, KILL_TIMES, KILL_PEERS and KILL_SPEED (bytes/s, of all links together) change the trial.
func TestKilledFetches(t *testing.T) {
	number := func(name string, or int) int {
		if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
			return n
		}
		return or
	}
	mib, kills, peers := number("KILL_MIB", 8), number("KILL_TIMES", 4), number("KILL_PEERS", 1)
	var id string
	var addrs []string
	var links []*road
	var servers []online
	for range peers {
		s := goOnline(t, Options{})
		id = addRandom(t, s.Store, 1, mib<<20)
		l := newRoad(t, s.host, number("KILL_SPEED", 8<<20)/peers)
		links, addrs, servers = append(links, l), append(addrs, l.addr), append(servers, s)
	}
	sent := func() (onWire, inBlocks int64) {
		for i, l := range links {
			onWire += l.bytes.Load()
			inBlocks += int64(servers[i].x.Traffic().Sent)
		}
		return onWire, inBlocks
	}
	job := childJob{Dir: t.TempDir(), CID: id, Peers: addrs}
	cmd, said := runChild(t, job)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	calm, calmBlocks := sent()

	job.Dir = t.TempDir()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	killed := 0
	for finished := false; !finished; {
		cmd, said := runChild(t, job)
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		moment := time.Duration(random.Int64N(int64(number("KILL_WITHIN_MS", 300)))) * time.Millisecond
		if killed == kills {
			moment = time.Minute
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %s", err, said)
			}
			finished = true
		case <-time.After(moment):
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-ended
			killed++
		}
	}
	onWire, inBlocks := sent()
	onWire, inBlocks = onWire-calm, inBlocks-calmBlocks
	t.Logf("%d MiB from %d peers, %d kills (seed %d): %d bytes on the wire instead of %d (%.3f ×); the servers sent blocks of %d bytes instead of %d",
		mib, peers, killed, seed, onWire, calm, float64(onWire)/float64(calm), inBlocks, calmBlocks)
	if killed < kills {
		t.Errorf("it finished after %d kills", killed)
	}
	// What a kill may cost at the very most; the usual is half a block and a new connection.
	if most := calm + int64(kills*(defaultWindow+1)*ChunkSize); onWire > most {
		t.Errorf("%d bytes on the wire, at most %d expected", onWire, most)
	}
	s := openDisk(t, job.Dir, Options{})
	if _, err := s.Verify(t.Context(), id); err != nil {
		t.Error(err)
	}
}
