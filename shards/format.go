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

// checkShardHeader compares the first bytes of a file with what they must be for so many tokens.
func checkShardHeader(header []byte, tokens int) error {
	if len(header) < shardHeaderSize {
		return fmt.Errorf("%w: %d bytes are too few for the header of %d", ErrCorrupt, len(header), shardHeaderSize)
	}
	word := func(i int) int32 { return int32(binary.LittleEndian.Uint32(header[4*i:])) }
	switch {
	case word(0) != shardMagic:
		return fmt.Errorf("%w: magic %d, expected %d", ErrCorrupt, word(0), shardMagic)
	case word(1) != shardVersion:
		return fmt.Errorf("%w: version %d, this program reads %d (16-bit tokens)", ErrCorrupt, word(1), shardVersion)
	case int(word(2)) != tokens:
		return fmt.Errorf("%w: %d tokens, the manifest says %d", ErrCorrupt, word(2), tokens)
	}
	return nil
}

// shardSize is the size in bytes of a shard file.
func shardSize(tokens int) int64 { return shardOffset(uint64(tokens)) }

// shardOffset is where a token begins in the file of its shard.
func shardOffset(token uint64) int64 { return shardHeaderSize + tokenSize*int64(token) }
