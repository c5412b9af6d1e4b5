package ipfs

import (
	"fmt"
	"io/fs"
	"strings"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/boxo/ipld/unixfs"
	"github.com/ipfs/go-cid"
	"github.com/multiformats/go-multihash"

	"github.com/skein-train/skein/checkpoint"
)

// What a DAG may look like. Wider or deeper ones are refused.
const (
	maxBlock = 2 << 20 // bytes: the most that bitswap carries
	maxDepth = 16      // of a file's tree, and of folders in each other
	maxFiles = 4096    // in a folder, with all its subfolders
)

// node is one block, understood.
type node struct {
	folder bool
	data   []byte // a leaf's bytes
	size   int64  // bytes of the file below
	links  []link
}

type link struct {
	cid  cid.Cid
	name string // in folders
	size int64  // in files: bytes below
}

func parseCID(s string) (cid.Cid, error) {
	c, err := cid.Decode(s)
	if err != nil {
		return cid.Undef, fmt.Errorf("%q is no CID: %w", s, err)
	}
	return c, allow(c)
}

// HashOf is the SHA-256 hash that a CID of ours is made of.
func HashOf(id string) (hash [32]byte, err error) {
	c, err := parseCID(id)
	if err == nil {
		copy(hash[:], c.Hash()[2:]) // behind the kind of hash and its length, a byte each
	}
	return hash, err
}

// allow accepts the CIDs that a checkpoint is made of: raw leaves and dag-pb, SHA-256.
func allow(c cid.Cid) error {
	p := c.Prefix()
	if p.MhType != multihash.SHA2_256 || p.MhLength != 32 || p.Codec != cid.Raw && p.Codec != cid.DagProtobuf {
		return fmt.Errorf("%w: %s is of another kind", checkpoint.ErrRefused, c)
	}
	return nil
}

// parse checks a block's bytes against its CID and reads them.
func parse(c cid.Cid, block []byte) (node, error) {
	if err := allow(c); err != nil {
		return node{}, err
	}
	if len(block) > maxBlock {
		return node{}, fmt.Errorf("%w: block %s of %d bytes, at most %d allowed", checkpoint.ErrRefused, c, len(block), maxBlock)
	}
	if got, err := c.Prefix().Sum(block); err != nil || !got.Equals(c) {
		return node{}, fmt.Errorf("%w: block %s", checkpoint.ErrCorrupt, c)
	}
	if c.Prefix().Codec == cid.Raw {
		return node{data: block, size: int64(len(block))}, nil
	}
	n, err := parseDagPB(block)
	if err != nil {
		return node{}, fmt.Errorf("%w: block %s: %w", checkpoint.ErrRefused, c, err)
	}
	return n, nil
}

func parseDagPB(block []byte) (node, error) {
	pb, err := merkledag.DecodeProtobuf(block)
	if err != nil {
		return node{}, err
	}
	u, err := unixfs.FSNodeFromBytes(pb.Data())
	if err != nil {
		return node{}, err
	}
	switch u.Type() {
	case unixfs.TDirectory:
		return parseFolder(pb)
	case unixfs.TFile, unixfs.TRaw:
		return parseFile(pb, u)
	}
	return node{}, fmt.Errorf("type %v of UnixFS", u.Type())
}

func parseFolder(pb *merkledag.ProtoNode) (node, error) {
	n := node{folder: true}
	seen := map[string]bool{}
	for _, l := range pb.Links() {
		if !plainName(l.Name) || seen[strings.ToLower(l.Name)] {
			return node{}, fmt.Errorf("file name %q is not plain, or used twice", l.Name)
		}
		seen[strings.ToLower(l.Name)] = true // some disks do not tell upper from lower case
		n.links = append(n.links, link{cid: l.Cid, name: l.Name})
	}
	return n, nil
}

// plainName reports whether a name is a file name on every system and can lead nowhere else.
func plainName(s string) bool {
	return fs.ValidPath(s) && s != "." && len(s) <= 255 && !strings.ContainsAny(s, `/\:*?"<>|`) &&
		!strings.HasSuffix(s, ".") && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// parseFile wants the sizes to add up and every branch to hold something, so that a small DAG cannot keep a reader busy for ever.
func parseFile(pb *merkledag.ProtoNode, u *unixfs.FSNode) (node, error) {
	links, sizes := pb.Links(), u.BlockSizes()
	n := node{data: u.Data(), size: int64(len(u.Data()))}
	if len(links) != len(sizes) || len(links) > 0 && n.size > 0 {
		return node{}, fmt.Errorf("%d links with %d sizes beside %d bytes", len(links), len(sizes), n.size)
	}
	for i, l := range links {
		size := int64(sizes[i])
		if size <= 0 || n.size+size < n.size {
			return node{}, fmt.Errorf("link %d is to %d bytes", i, sizes[i])
		}
		n.size += size
		n.links = append(n.links, link{cid: l.Cid, size: size})
	}
	if u.FileSize() != uint64(n.size) {
		return node{}, fmt.Errorf("file of %d bytes holds %d", u.FileSize(), n.size)
	}
	return n, nil
}
