package ipfs

import (
	"context"
	"fmt"

	"github.com/ipfs/boxo/ipld/merkledag"
	"github.com/ipfs/go-cid"
	format "github.com/ipfs/go-ipld-format"
)

// Walk calls visit with every block of a folder: its binary CID and its bytes, which were checked against it. Each block comes
// once, a parent before what it links to, depth first in the order of the links. What is not here is fetched, if there is
// an exchange. It ends with the first error of visit. Other errors are those of checkpoint.Source.
func (s *folders) Walk(ctx context.Context, id string, visit func(cid, block []byte) error) error {
	root, err := parseCID(id)
	if err != nil {
		return err
	}
	links := func(ctx context.Context, c cid.Cid) ([]*format.Link, error) {
		b, err := s.block(ctx, c)
		if err != nil {
			return nil, err
		}
		n, err := parse(c, b.RawData())
		if err != nil {
			return nil, err
		}
		out := make([]*format.Link, len(n.links))
		for i, l := range n.links {
			out[i] = &format.Link{Cid: l.cid}
		}
		return out, visit(c.Bytes(), b.RawData())
	}
	if err := merkledag.Walk(ctx, links, root, cid.NewSet().Visit); err != nil {
		return fmt.Errorf("walk %s: %w", id, err)
	}
	return nil
}
