package swarm

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/skein-train/skein/aggregator"
	"pgregory.net/rapid"
)

func FuzzUnseal(f *testing.F) {
	run := aggregator.Hash{1}
	f.Add(seal(kindJoin, run, make([]byte, noticeSize)))
	f.Add([]byte("SKM1"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if k, body, err := unseal(b, run); err == nil && !bytes.Equal(seal(k, run, body), b) {
			t.Errorf("%x does not come back", b)
		}
	})
}

func FuzzNotice(f *testing.F) {
	n := &notice{kind: kindReport, seq: 3, root: aggregator.Hash{4}}
	n.sign(aggregator.NewSigner(seed(1)), aggregator.Hash{1})
	f.Add(byte(kindReport), n.encode())
	f.Add(byte(kindJoin), n.encode())
	f.Fuzz(func(t *testing.T, k byte, b []byte) {
		if n, err := decodeNotice(kind(k), aggregator.Hash{1}, b); err == nil && !bytes.Equal(n.encode(), b) {
			t.Errorf("%x does not come back", b)
		}
	})
}

func FuzzPartsList(f *testing.F) {
	_, l, _, _ := parted(f, f.TempDir(), 3*partSize-5)
	f.Add(l.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		l, err := decodeParts(b)
		if err != nil {
			return
		}
		if !bytes.Equal(l.encode(), b) {
			t.Errorf("%x does not come back", b)
		}
		var total int
		for i := range l.hashes {
			_, n := l.bounds(i)
			total += n
		}
		if uint64(total) != l.header.Size {
			t.Errorf("parts of %d bytes for a payload of %d", total, l.header.Size)
		}
	})
}

func FuzzMeta(f *testing.F) {
	f.Add(uint16(14), encodeMeta(14, full(14), []int{1, 13}))
	f.Fuzz(func(t *testing.T, n uint16, b []byte) {
		parts := int(n%maxParts) + 1
		have, wants, err := decodeMeta(parts, b)
		if err == nil && !bytes.Equal(encodeMeta(parts, have, wants), b) {
			t.Errorf("%x does not come back", b)
		}
	})
}

func FuzzPartMessage(f *testing.F) {
	f.Add(topicParts, bytes.Repeat([]byte{1}, 32), []byte{1, 0, 1}, []byte{0, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, topic string, group, meta, part []byte) {
		m, err := readPartMessage(peer.ID("p"), &pb.PartialMessagesExtension{TopicID: &topic, GroupID: group, PartsMetadata: meta, PartialMessage: part})
		if err == nil && (len(m.data) > partSize || m.part >= maxParts || len(m.meta) > maxMeta) {
			t.Errorf("part %d of %d bytes, metadata of %d", m.part, len(m.data), len(m.meta))
		}
	})
}

func FuzzCertificateStream(f *testing.F) {
	f.Add([]byte{0, 0, 0, 0})
	f.Add([]byte{255, 255, 255, 255})
	f.Fuzz(func(_ *testing.T, b []byte) { // must not panic, nor allocate more than a certificate
		for r := bytes.NewReader(b); r.Len() > 0; {
			if _, err := readCertificate(r); err != nil {
				return
			}
		}
	})
}

// The window refuses exactly what was seen and what is older than it, like its twin that remembers everything.
func TestReplaysTwin(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var window replays
		seen, top := map[uint64]bool{}, uint64(0)
		for range rapid.IntRange(1, 200).Draw(r, "messages") {
			n := rapid.Uint64Range(1, 5000).Draw(r, "number")
			top = max(top, n)
			want := !seen[n] && n+replayWindow > top
			if got := window.fresh("author", binary.BigEndian.AppendUint64(nil, n)); got != want {
				r.Fatalf("number %d, highest %d: fresh %v, want %v", n, top, got, want)
			}
			seen[n] = true
		}
	})
}

// A certificates file cut at any byte opens with the certificates that are whole.
func TestLedgerSurvivesATornFile(t *testing.T) {
	w := newWorld(t, 1, 2, 600_000)
	w.runAll(2, 100)
	whole, err := os.ReadFile(filepath.Join(w.dirs[1], "certificates"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for cut := 0; cut <= len(whole); cut += 13 {
		if err := os.WriteFile(filepath.Join(dir, "certificates"), whole[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		l, err := openLedger(dir, &w.run.Manifest)
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if l.size() > int64(cut) || len(l.ends) > 3 {
			t.Errorf("cut at %d: %d certificates of %d bytes", cut, len(l.ends), l.size())
		}
		_ = l.close()
	}
}
