package swarm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/skein-train/skein/aggregator"
	"pgregory.net/rapid"
)

func TestFetchStatus(t *testing.T) {
	w := newWorld(t, 2, 4, 600_000)
	w.runAll(3, 1000)
	s, err := FetchStatus(t.Context(), w.home.Addrs())
	if err != nil {
		t.Fatal(err)
	}
	if s.Run != w.run.Hash() || s.Phase != Running || s.Round != 3 || s.Step != 3 || s.Workers != 2 || s.Peers < 3 || len(s.Links) < 3 ||
		s.Sent < 1000 || s.Received < 1000 || time.Since(s.Time).Abs() > time.Minute || s.Uptime <= 0 {
		t.Errorf("%+v", s)
	}
	inbound := 0
	for _, l := range s.Links {
		if l.Inbound {
			inbound++
		}
	}
	if inbound != len(s.Links) {
		t.Errorf("%d of %d links dialled the seat", inbound, len(s.Links))
	}
}

func TestFetchLog(t *testing.T) {
	w := newWorld(t, 2, 4, 600_000)
	w.runAll(3, 1000)
	chain, certs, err := FetchLog(t.Context(), w.home.Addrs(), &w.run.Manifest, 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(certs) != 2 || certs[0].Seq != 2 || certs[1].Seq != 3 || len(chain.Roster().Peers()) != 2 || chain.Tip().Seq != 3 {
		t.Errorf("%d certificates, tip %v", len(certs), chain.Tip())
	}
	var forged bytes.Buffer
	if err := w.home.ledger.dump(&forged, 0, 1<<20); err != nil {
		t.Fatal(err)
	}
	forged.Bytes()[100]++
	liar := liarHost(t, 75, protocolLog, func(s network.Stream) { _, _ = s.Write(forged.Bytes()) })
	if _, _, err := FetchLog(t.Context(), []string{liar}, &w.run.Manifest, 0); !errors.Is(err, ErrForged) {
		t.Errorf("a forged log: %v", err)
	}
	// another peer makes up for it
	if _, certs, err := FetchLog(t.Context(), append([]string{liar}, w.home.Addrs()...), &w.run.Manifest, 0); err != nil || len(certs) != 4 {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
	other := w.run.Manifest
	other.Name = "another"
	if _, _, err := FetchLog(t.Context(), w.home.Addrs(), &other, 0); err == nil {
		t.Error("the log of a run that the peer does not know")
	}
}

func FuzzStatus(f *testing.F) {
	s := Status{Phase: Running, Round: 3, Time: time.UnixMilli(5), Links: []Link{{Inbound: true}, {}}}
	f.Add(s.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeStatus(b); err == nil && !bytes.Equal(s.encode(), b) {
			t.Errorf("%x does not come back", b)
		}
	})
}

func TestMoments(t *testing.T) {
	w := newWorld(t, 2, 1, 600_000)
	v := make([]float32, 200_000)
	for i := range v {
		v[i] = float32(i) / 3
	}
	joiner := w.node(3, w.dir(3))
	if err := joiner.Connect(t.Context(), append(w.nodes[0].Addrs(), w.home.Addrs()...)); err != nil {
		t.Fatal(err)
	}
	if _, err := joiner.ledger.get(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	lengths := []int{len(v), 3}
	if _, err := joiner.FetchMoments(t.Context(), lengths, 1); !errors.Is(err, errNoMoments) {
		t.Errorf("moments of nobody: %v", err)
	}
	w.nodes[0].Moments = func() (uint64, [][]float32, []uint64, bool) { return 7, [][]float32{v, v[:3]}, []uint64{9}, true }
	m, err := joiner.FetchMoments(t.Context(), lengths, 1)
	if err != nil || m.Round != 7 || !reflect.DeepEqual(m.Vectors, [][]float32{v, v[:3]}) || m.Counters[0] != 9 {
		t.Errorf("%v", err)
	}
	for _, wrong := range [][]int{{len(v)}, {len(v), 4}, {3, len(v)}, {len(v), 3, 1}} {
		if _, err := joiner.FetchMoments(t.Context(), wrong, 1); !errors.Is(err, aggregator.ErrMalformed) {
			t.Errorf("moments of lengths %v: %v", wrong, err)
		}
		joiner.guard.pardon(w.nodes[0].host.ID())
	}
}

// Whatever bytes come: moments are of the asked sizes, finite and whole, or an error.
func TestHostileMoments(t *testing.T) {
	good := &Moments{Round: 1, Vectors: [][]float32{{1, 2}, {3}}, Counters: []uint64{4}}
	var b bytes.Buffer
	if err := good.write(&b); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(r *rapid.T) {
		bad := bytes.Clone(b.Bytes())
		i := rapid.IntRange(0, len(bad)-1).Draw(r, "at")
		bad[i] ^= byte(rapid.IntRange(1, 255).Draw(r, "flip"))
		if _, err := readMoments(bytes.NewReader(bad), []int{2, 1}, 1); err == nil {
			r.Errorf("byte %d was flipped unseen", i)
		}
		if _, err := readMoments(bytes.NewReader(b.Bytes()[:i]), []int{2, 1}, 1); err == nil {
			r.Errorf("%d bytes are enough", i)
		}
	})
	infinite := &Moments{Vectors: [][]float32{{float32(math.Inf(1))}}}
	b.Reset()
	if err := infinite.write(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := readMoments(&b, []int{1}, 0); !errors.Is(err, aggregator.ErrMalformed) {
		t.Errorf("infinite moments: %v", err)
	}
}

func FuzzMoments(f *testing.F) {
	var b bytes.Buffer
	_ = (&Moments{Round: 1, Vectors: [][]float32{{1, 2}, {3}}, Counters: []uint64{4}}).write(&b)
	f.Add(b.Bytes())
	f.Add(binary.LittleEndian.AppendUint64([]byte{1}, 1<<63))
	f.Fuzz(func(_ *testing.T, b []byte) { _, _ = readMoments(bytes.NewReader(b), []int{2, 1}, 1) })
}
