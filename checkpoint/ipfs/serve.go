package ipfs

import (
	"errors"
	"io"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/skein-train/skein/checkpoint"
)

// Serve hands out the blocks of a source that OpenSource made to the peers of a host, over bitswap, until it is closed. It
// reads only, also while a run has the store open. The host stays the caller's and must outlive it.
func Serve(from checkpoint.Source, h host.Host) (io.Closer, error) {
	blocks, ok := from.(*folders)
	if !ok {
		return nil, errors.New("serve: want a source of ipfs.OpenSource; a store serves through its exchange")
	}
	return Bitswap(h)(blocks.local), nil
}
