package ipfs

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ipfs/boxo/bitswap/message"
	"github.com/ipfs/boxo/bitswap/network/bsnet"
	"github.com/ipfs/boxo/blockstore"
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/goleak"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

func TestMain(m *testing.M) {
	if job, ok := os.LookupEnv(childEnv); ok {
		os.Exit(child(job))
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain")) // ends within 30 s of Close
}

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func dial(t testing.TB, from host.Host, to ...host.Host) {
	t.Helper()
	for _, h := range to {
		if err := from.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
			t.Fatal(err)
		}
	}
}

// online is a store in memory with bitswap over a host of its own.
type online struct {
	*Store
	host host.Host
	x    *bitswap
}

func goOnline(t testing.TB, o Options) online {
	t.Helper()
	h := newHost(t)
	var out online
	o.Exchange = Bitswap(h)
	s, err := Memory(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	out = online{Store: s, host: h, x: s.exchange.(*bitswap)}
	return out
}

func addRandom(t testing.TB, s *Store, seed uint64, n int) string {
	t.Helper()
	id, err := s.Add(t.Context(), "test", storetest.Files(map[string]string{
		"data": storetest.Random(seed, n), "empty": "", "sub/small": "small",
	}))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestFetch(t *testing.T) {
	a, b := goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 4<<20)
	dial(t, b.host, a.host)
	var done, total atomic.Int64
	got, err := b.Fetch(t.Context(), id, FetchOptions{Progress: func(d, n int64) { done.Store(d); total.Store(n) }})
	if err != nil {
		t.Fatal(err)
	}
	want, err := b.Verify(t.Context(), id)
	if err != nil || got != want || done.Load() != want.Bytes || total.Load() != want.Bytes {
		t.Errorf("fetched %+v, here are %+v, error %v; progress %d of %d", got, want, err, done.Load(), total.Load())
	}
	if u := b.x.Traffic(); u.Duplicate > 0 || u.Strange > 0 || u.Received != uint64(want.Bytes) {
		t.Errorf("traffic %+v", u)
	}
	if _, err := b.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if again, err := b.Fetch(t.Context(), id, FetchOptions{}); err != nil || again.Blocks > 0 {
		t.Errorf("fetched again: %+v, error %v", again, err)
	}
	if err := b.Pin(t.Context(), id, "pinned"); err != nil {
		t.Fatal(err)
	}
	if held, err := b.Partials(t.Context()); err != nil || len(held) > 0 {
		t.Errorf("held after the pin: %v, error %v", held, err)
	}
	if err := b.Unpin(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Collect(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u, err := b.Usage(t.Context()); err != nil || u.Blocks > 0 {
		t.Errorf("left after unpinning: %+v, error %v", u, err)
	}
}

func TestReadingFetches(t *testing.T) {
	a, b := goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 50<<20)
	dial(t, b.host, a.host)
	folder, err := b.Open(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	f, err := folder.Open("data")
	if err != nil {
		t.Fatal(err)
	}
	content := storetest.Random(1, 50<<20)
	before := b.x.Traffic().Received
	part := make([]byte, 1000)
	for _, off := range []int64{0, 1, ChunkSize - 10, 47 << 20, 50<<20 - 1000} {
		if _, err := f.(File).ReadAt(part, off); err != nil || string(part) != content[off:off+1000] {
			t.Fatalf("offset %d: %v", off, err)
		}
	}
	if got := b.x.Traffic().Received - before; got > 5*ChunkSize+20<<10 {
		t.Errorf("%d bytes came for four leaves and their branches", got)
	}
	if err := f.(File).Prefetch(t.Context(), []Range{{10 << 20, 1 << 20}, {10 << 20, 2 << 20}, {49 << 20, 9 << 20}}); err != nil {
		t.Fatal(err)
	}
	before = b.x.Traffic().Received
	part = make([]byte, 2<<20)
	if _, err := f.(File).ReadAt(part, 10<<20); err != nil || string(part) != content[10<<20:12<<20] {
		t.Fatal(err)
	}
	if got := b.x.Traffic().Received - before; got > 0 {
		t.Errorf("%d bytes came after the prefetch", got)
	}
	if got, err := fs.ReadFile(folder, "sub/small"); err != nil || string(got) != "small" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestFetchIsBounded(t *testing.T) {
	a, b := goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 4<<20)
	dial(t, b.host, a.host)
	if _, err := b.Fetch(t.Context(), id, FetchOptions{MaxBytes: 4 << 20}); !errors.Is(err, checkpoint.ErrRefused) {
		t.Errorf("error %v, want ErrRefused", err)
	}
	if got := b.x.Traffic().Received; got > 64<<10 {
		t.Errorf("%d bytes came before it was refused", got)
	}
	u, err := a.Verify(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Fetch(t.Context(), id, FetchOptions{MaxBytes: u.Bytes}); err != nil {
		t.Error(err)
	}
}

func TestFetchGivesUp(t *testing.T) {
	a, b := goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 1<<20)
	_, err := b.Fetch(t.Context(), id, FetchOptions{Idle: 50 * time.Millisecond})
	if !errors.Is(err, checkpoint.ErrNotFound) || !strings.Contains(err.Error(), "from 0 connected peers; connect to a peer") {
		t.Errorf("nobody there: %v", err)
	}
	root, err := parseCID(id)
	if err != nil {
		t.Fatal(err)
	}
	lost := map[cid.Cid]bool{}
	if err := each(t.Context(), a.local, func(c cid.Cid, size int64) error {
		if size == ChunkSize && len(lost) < 2 {
			lost[c] = true
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	for c := range lost {
		if err := a.local.DeleteBlock(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	dial(t, b.host, a.host)
	_, err = b.Fetch(t.Context(), root.String(), FetchOptions{Idle: 200 * time.Millisecond})
	if !errors.Is(err, checkpoint.ErrNotFound) || !strings.Contains(err.Error(), "2 blocks (524288 bytes) are missing") {
		t.Errorf("two blocks lost: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Fetch(ctx, id, FetchOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// tamper answers every want of a leaf with other bytes of the same length.
func tamper(t *testing.T, s *Store, id string) host.Host {
	t.Helper()
	h := newHost(t)
	net := bsnet.NewFromIpfsHost(h, bsnet.SupportedProtocols([]protocol.ID{Protocol}))
	net.Start(&tamperer{net: net, from: s.local, root: id})
	t.Cleanup(net.Stop)
	return h
}

type tamperer struct {
	net interface {
		SendMessage(context.Context, peer.ID, message.BitSwapMessage) error
	}
	from blockstore.Blockstore
	root string
}

func (x *tamperer) PeerConnected(peer.ID)    {}
func (x *tamperer) PeerDisconnected(peer.ID) {}
func (x *tamperer) ReceiveError(error)       {}
func (x *tamperer) ReceiveMessage(ctx context.Context, p peer.ID, m message.BitSwapMessage) {
	for _, e := range m.Wantlist() {
		if e.Cancel {
			continue
		}
		b, err := x.from.Get(ctx, e.Cid)
		if err != nil {
			continue
		}
		answer := message.New(false)
		if len(b.RawData()) == ChunkSize {
			changed := append([]byte{b.RawData()[0] ^ 1}, b.RawData()[1:]...)
			c, err := e.Cid.Prefix().Sum(changed)
			if err != nil {
				panic(err)
			}
			b = mustBlock(changed, c)
		}
		answer.AddBlock(b)
		go func() { _ = x.net.SendMessage(ctx, p, answer) }()
	}
}

func TestATamperingPeerIsFound(t *testing.T) {
	honest, b := goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, honest.Store, 1, 8<<20)
	bad := tamper(t, honest.Store, id)
	dial(t, b.host, bad)
	_, err := b.Fetch(t.Context(), id, FetchOptions{Idle: 300 * time.Millisecond})
	if !errors.Is(err, checkpoint.ErrCorrupt) || !strings.Contains(err.Error(), bad.ID().String()) {
		t.Fatalf("alone: %v", err)
	}
	dial(t, b.host, honest.host)
	if _, err := b.Fetch(t.Context(), id, FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(t.Context(), id); err != nil {
		t.Error(err)
	}
	if u := b.x.Traffic(); u.Strange > 2*maxStrangers*ChunkSize {
		t.Errorf("traffic %+v", u)
	}
}

func TestTwoPeersShareTheWork(t *testing.T) {
	a, b, c := goOnline(t, Options{}), goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 16<<20)
	addRandom(t, b.Store, 1, 16<<20)
	dial(t, c.host, a.host, b.host)
	if _, err := c.Fetch(t.Context(), id, FetchOptions{}); err != nil {
		t.Fatal(err)
	}
	u := c.x.Traffic()
	if u.Duplicate > u.Received/10 {
		t.Errorf("traffic %+v", u)
	}
	for _, s := range []online{a, b} {
		if sent := s.x.Traffic().Sent; sent < u.Received/10 {
			t.Errorf("one of two peers sent %d of %d bytes", sent, u.Received)
		}
	}
}

func TestAPeerThatDiesIsReplaced(t *testing.T) {
	a, b, c := goOnline(t, Options{}), goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 16<<20)
	addRandom(t, b.Store, 1, 16<<20)
	dial(t, c.host, a.host, b.host)
	var died atomic.Bool
	if _, err := c.Fetch(t.Context(), id, FetchOptions{Progress: func(done, _ int64) {
		if done > 4<<20 && !died.Swap(true) {
			go func() { _ = a.host.Close() }()
		}
	}}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Verify(t.Context(), id); err != nil {
		t.Error(err)
	}
	if u := c.x.Traffic(); u.Duplicate > u.Received/10 {
		t.Errorf("traffic %+v", u)
	}
}

func TestCollectSparesWhatIsUnderWay(t *testing.T) {
	a, b := goOnline(t, Options{}), goOnline(t, Options{})
	id := addRandom(t, a.Store, 1, 8<<20)
	dial(t, b.host, a.host)
	var collected atomic.Int64
	_, err := b.Fetch(t.Context(), id, FetchOptions{Progress: func(int64, int64) {
		u, err := b.Collect(t.Context())
		if err != nil {
			t.Error(err)
		}
		collected.Add(int64(u.Blocks))
	}})
	if err != nil || collected.Load() > 0 {
		t.Errorf("%d blocks were collected, error %v", collected.Load(), err)
	}
	if err := b.Pin(t.Context(), id, "x"); err != nil {
		t.Error(err)
	}
}

func mustBlock(b []byte, c cid.Cid) blocks.Block {
	out, err := blocks.NewBlockWithCid(b, c)
	if err != nil {
		panic(err)
	}
	return out
}

func TestAHostOutlivesItsExchange(t *testing.T) {
	a, h := goOnline(t, Options{}), newHost(t)
	dial(t, h, a.host)
	for i := range 3 {
		id := addRandom(t, a.Store, uint64(i), 2<<20)
		s, err := Memory(t.Context(), Options{Exchange: Bitswap(h)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Fetch(t.Context(), id, FetchOptions{Idle: 10 * time.Second}); err != nil {
			t.Errorf("exchange %d: %v", i, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
