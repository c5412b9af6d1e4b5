package shards

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The token shard of llm.c: a header of 256 little-endian int32 (magic, version, number of tokens, zeros), then the tokens
// as little-endian uint16. docs/wire.md has the table.
const (
	shardMagic      = 20240520
	shardVersion    = 1
	shardHeaderSize = 256 * 4
	tokenSize       = 2

	// maxShardTokens is the most that one shard may hold; the format's own limit is 2³¹−1.
	maxShardTokens = 1 << 28
)

// ErrCorrupt is wrapped by every error about a shard or manifest that is damaged or not one of ours.
var ErrCorrupt = errors.New("corrupt token shards")

func appendShardHeader(dst []byte, tokens int) []byte {
	header := make([]byte, shardHeaderSize)
	binary.LittleEndian.PutUint32(header[0:], shardMagic)
	binary.LittleEndian.PutUint32(header[4:], shardVersion)
	binary.LittleEndian.PutUint32(header[8:], uint32(tokens))
	return append(dst, header...)
}

// parseShardHeader reads the number of tokens out of the first shardHeaderSize bytes of a file of size bytes.
func parseShardHeader(header []byte, size int64) (tokens int, err error) {
	if len(header) < shardHeaderSize {
		return 0, fmt.Errorf("%w: %d bytes are too few for the header of %d", ErrCorrupt, size, shardHeaderSize)
	}
	magic, version := int32(binary.LittleEndian.Uint32(header)), int32(binary.LittleEndian.Uint32(header[4:]))
	n := int32(binary.LittleEndian.Uint32(header[8:]))
	switch {
	case magic != shardMagic:
		return 0, fmt.Errorf("%w: magic %d, expected %d", ErrCorrupt, magic, shardMagic)
	case version != shardVersion:
		return 0, fmt.Errorf("%w: version %d, this program reads %d (16-bit tokens)", ErrCorrupt, version, shardVersion)
	case n < 1 || n > maxShardTokens:
		return 0, fmt.Errorf("%w: %d tokens, expected 1 to %d", ErrCorrupt, n, maxShardTokens)
	case size != shardSize(int(n)):
		return 0, fmt.Errorf("%w: %d bytes, expected %d for %d tokens", ErrCorrupt, size, shardSize(int(n)), n)
	}
	return int(n), nil
}

// shardSize is the size in bytes of a shard file.
func shardSize(tokens int) int64 { return shardHeaderSize + tokenSize*int64(tokens) }
