package ipfs

import (
	blocks "github.com/ipfs/go-block-format"
	"github.com/ipfs/go-cid"
)

func mustBlock(b []byte, c cid.Cid) blocks.Block {
	out, err := blocks.NewBlockWithCid(b, c)
	if err != nil {
		panic(err)
	}
	return out
}

func inChild() bool { return false }
func child()        {}
