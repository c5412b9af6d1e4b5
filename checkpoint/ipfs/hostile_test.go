package ipfs

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	pb "github.com/ipfs/boxo/ipld/unixfs/pb"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"

	"github.com/skein-train/skein/checkpoint"
	"github.com/skein-train/skein/checkpoint/storetest"
)

// proto stores a dag-pb node with that UnixFS part and those links.
func proto(t *testing.T, s *Store, u []byte, links ...*format.Link) cid.Cid {
	t.Helper()
	n := merkledag.NodeWithData(u)
	n.SetCidBuilder(builder)
	for _, l := range links {
		if err := n.AddRawLink(l.Name, l); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.dag.Add(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return n.Cid()
}

// fileData is the UnixFS part of a file whose branches have those sizes.
func fileData(t *testing.T, sizes ...uint64) []byte {
	t.Helper()
	u := unixfs.NewFSNode(pb.Data_File)
	for _, n := range sizes {
		u.AddBlockSize(n)
	}
	b, err := u.GetBytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func to(name string, c cid.Cid) *format.Link { return &format.Link{Name: name, Cid: c} }

func raw(t *testing.T, s *Store, b string) cid.Cid {
	t.Helper()
	n, err := merkledag.NewRawNodeWPrefix([]byte(b), builder.WithCodec(cid.Raw))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.dag.Add(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return n.Cid()
}

// readAll opens a folder and reads all its files.
func readAll(t *testing.T, s *Store, c cid.Cid) error {
	folder, err := s.Open(t.Context(), c.String())
	if err != nil {
		return err
	}
	return fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		_, err = fs.ReadFile(folder, name)
		return err
	})
}

func TestHostileFoldersAreRefused(t *testing.T) {
	s := openMemory(t)
	leaf, dir := raw(t, s, "leaf"), unixfs.FolderPBData()
	link, err := unixfs.SymlinkData("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	hamt, err := unixfs.HAMTShardData(nil, 256, 0x22)
	if err != nil {
		t.Fatal(err)
	}
	deep := proto(t, s, dir, to("f", leaf))
	for range maxDepth {
		deep = proto(t, s, dir, to("d", deep))
	}
	wide := proto(t, s, dir)
	for range 4 { // 8⁴ folders out of five blocks
		var links []*format.Link
		for i := range 8 {
			links = append(links, to(strings.Repeat("x", i+1), wide))
		}
		wide = proto(t, s, dir, links...)
	}
	bomb := raw(t, s, "")
	for range 60 { // 2⁶⁰ visits to nothing
		bomb = proto(t, s, fileData(t, 0, 0), to("", bomb), to("", bomb))
	}
	ladder := leaf
	for range maxDepth + 2 {
		ladder = proto(t, s, fileData(t, 4), to("", ladder))
	}
	inFolder := func(c cid.Cid) cid.Cid { return proto(t, s, dir, to("f", c)) }
	cases := map[string]cid.Cid{
		"a file":            leaf,
		"symbolic link":     inFolder(proto(t, s, link)),
		"sharded folder":    proto(t, s, hamt),
		"too deep":          deep,
		"too many":          wide,
		"empty branches":    inFolder(bomb),
		"too high a tree":   inFolder(ladder),
		"branch too short":  inFolder(proto(t, s, fileData(t, 5), to("", leaf))),
		"branch too long":   inFolder(proto(t, s, fileData(t, 3), to("", leaf))),
		"folder in a file":  inFolder(proto(t, s, fileData(t, 4), to("", proto(t, s, dir)))),
		"link without size": inFolder(proto(t, s, fileData(t), to("", leaf))),
		"no UnixFS":         inFolder(proto(t, s, []byte("\xff\xff"))),
		"names twice":       proto(t, s, dir, to("a", leaf), to("A", leaf)),
		"huge sizes":        inFolder(proto(t, s, fileData(t, 1<<63-1, 1<<63-1), to("", leaf), to("", leaf))),
	}
	for _, name := range []string{"", ".", "..", "/etc/passwd", "a/b", `a\b`, "C:", "nul\x00", "new\nline", "dot.", "\xff", strings.Repeat("x", 256)} {
		cases["name "+name] = proto(t, s, dir, to(name, leaf))
	}
	for name, c := range cases {
		if err := readAll(t, s, c); !errors.Is(err, checkpoint.ErrRefused) {
			t.Errorf("%s: error %v, want ErrRefused", name, err)
		}
	}
}

func TestOtherHashesAreRefused(t *testing.T) {
	s := openMemory(t)
	for _, id := range []string{
		"QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", // version 0 is dag-pb and SHA-256 too: absent, not refused
		"bafkqaaa", // an identity hash carries its own content
		"bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua", // dag-cbor
	} {
		_, err := s.Open(t.Context(), id)
		if refused := errors.Is(err, checkpoint.ErrRefused); err == nil || refused == strings.HasPrefix(id, "Qm") {
			t.Errorf("%s: error %v", id, err)
		}
	}
}

// TestDamageOnDiskIsFound changes one byte of each block's file in turn.
func TestDamageOnDiskIsFound(t *testing.T) {
	dir := t.TempDir()
	s := openDisk(t, dir, Options{})
	id, err := s.Add(t.Context(), "a", storetest.Files(map[string]string{"f": storetest.Random(1, 600<<10), "sub/g": "x"}))
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(dir, blocksDir, "*", "*.data"))
	if err != nil || len(files) < 6 {
		t.Fatalf("%d blocks, error %v", len(files), err)
	}
	root, err := parseCID(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range files {
		old, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for what, b := range map[string][]byte{"flipped": append([]byte{old[0] ^ 1}, old[1:]...), "cut": old[:len(old)-1], "empty": {}} {
			if err := os.WriteFile(name, b, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Verify(t.Context(), id); !errors.Is(err, checkpoint.ErrCorrupt) {
				t.Errorf("%s: Verify: error %v", what, err)
			}
			if err := readAll(t, s, root); !errors.Is(err, checkpoint.ErrCorrupt) {
				t.Errorf("%s: reading: error %v", what, err)
			}
		}
		if err := os.WriteFile(name, old, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Verify(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(t.Context(), id); !errors.Is(err, checkpoint.ErrNotFound) {
		t.Errorf("a missing block: error %v", err)
	}
}

// TestAFolderCannotHideAnother pins a folder that names the other's root as a leaf.
func TestAFolderCannotHideAnother(t *testing.T) {
	s, ctx := openMemory(t), t.Context()
	honest, err := s.Add(ctx, "honest", storetest.Files(map[string]string{"f": "x", "g": "y"}))
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCID(honest)
	if err != nil {
		t.Fatal(err)
	}
	hostile := proto(t, s, unixfs.FolderPBData(), to("f", blockKey(c)))
	if err := s.Pin(ctx, hostile.String(), "a"); err != nil { // sorts before "honest"
		t.Fatal(err)
	}
	if _, err := s.Collect(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(ctx, honest); err != nil {
		t.Errorf("collecting took blocks of a pinned folder: %v", err)
	}
}

func FuzzParse(f *testing.F) {
	s, err := Memory(f.Context(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	id, err := s.Add(f.Context(), "seed", storetest.Files(map[string]string{"a": "x", "b/c": storetest.Random(1, 300<<10)}))
	if err != nil {
		f.Fatal(err)
	}
	root, err := parseCID(id)
	if err != nil {
		f.Fatal(err)
	}
	for seen := []cid.Cid{root}; len(seen) > 0; seen = seen[1:] {
		b, err := s.local.Get(f.Context(), seen[0])
		if err != nil {
			f.Fatal(err)
		}
		if seen[0].Prefix().Codec == cid.DagProtobuf {
			f.Add(b.RawData())
		}
		for _, l := range linksBelow(f, s, seen[0]) {
			seen = append(seen, l.cid)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseDagPB(b)
		if err != nil {
			return
		}
		for _, l := range n.links {
			if n.folder && !plainName(l.name) || !n.folder && l.size <= 0 {
				t.Errorf("link %+v", l)
			}
		}
		if n.size < 0 || len(n.links) > 0 && len(n.data) > 0 {
			t.Errorf("%+v", n)
		}
	})
}

func linksBelow(f *testing.F, s *Store, c cid.Cid) []link {
	n, err := s.node(f.Context(), c)
	if err != nil {
		f.Fatal(err)
	}
	return n.links
}
