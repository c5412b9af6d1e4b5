package shards

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/skein-train/skein/internal/durable"
)

const (
	blockSize    = 1 << 20
	maxBlockSize = 64 << 20 // a text without a place to cut is cut anyway after so many bytes
)

// builder writes the shards of one Prepare.
type builder struct {
	dir      string
	tok      Tokenizer
	limit    int // tokens per shard
	block    int // bytes of text that are encoded at once
	files    []string
	manifest *Manifest
	progress func(done, total int64)

	body []byte // tokens of the shard being filled, as they go to disk
	skip int    // tokens of the next block that finished shards already hold
}

func (b *builder) build(ctx context.Context) (*Manifest, error) {
	if err := os.Remove(filepath.Join(b.dir, ManifestName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replace token shards: %w", err)
	}
	at := b.resume()
	b.skip = at.Skip
	for i := at.Input; i < len(b.files); i++ {
		if err := b.file(ctx, i, at.Offset); err != nil {
			return nil, err
		}
		at.Offset = 0
	}
	if len(b.body) > 0 {
		if err := b.flush(); err != nil {
			return nil, err
		}
	}
	if len(b.manifest.Shards) == 0 {
		return nil, fmt.Errorf("data.source %s: the files hold no text", b.manifest.Corpus)
	}
	if err := writeFile(filepath.Join(b.dir, ManifestName), b.manifest.Encode()); err != nil {
		return nil, err
	}
	b.discard()
	return b.manifest, nil
}

// file encodes input i from a byte offset on. A block is b.block bytes from its offset on, up to the last place where
// the tokenizer can cut: its extent depends on the text and the offset alone, so that a resume sees the same blocks.
func (b *builder) file(ctx context.Context, i int, offset int64) error {
	f, err := os.Open(b.files[i])
	if err != nil {
		return fmt.Errorf("read text: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return fmt.Errorf("read text: %w", err)
	}
	var ids []int32
	buf, have := make([]byte, b.block), 0
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.ReadFull(f, buf[have:])
		have += n
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return fmt.Errorf("read text: %w", err)
		}
		size := have
		if !last {
			if size = b.tok.cut(buf); size == 0 && len(buf) < maxBlockSize {
				buf = append(buf, make([]byte, len(buf))...)
				continue
			} else if size == 0 {
				size = have
			}
		}
		ids = ids[:0]
		if size > 0 && offset == 0 && b.textBefore(i) {
			ids = append(ids, b.tok.Separator())
		}
		ids = b.tok.Append(ids, buf[:size])
		if err := b.add(ids, cursor{Input: i, Offset: offset}); err != nil {
			return err
		}
		offset += int64(size)
		b.report(i, offset)
		if last {
			return nil
		}
		have = copy(buf[:b.block], buf[size:have])
		buf = buf[:b.block]
	}
}

// textBefore tells whether an input before i holds text.
func (b *builder) textBefore(i int) bool {
	for _, in := range b.manifest.Inputs[:i] {
		if in.Bytes > 0 {
			return true
		}
	}
	return false
}

// add appends the ids of the block at a cursor, and writes every shard that fills up.
func (b *builder) add(ids []int32, at cursor) error {
	done := min(b.skip, len(ids))
	b.skip = 0
	for done < len(ids) {
		n := min(len(ids)-done, b.limit-len(b.body)/tokenSize)
		for _, id := range ids[done : done+n] {
			b.body = binary.LittleEndian.AppendUint16(b.body, uint16(id))
		}
		done += n
		if len(b.body)/tokenSize < b.limit {
			continue
		}
		if err := b.flush(); err != nil {
			return err
		}
		at.Skip = done
		if err := b.record(at); err != nil {
			return err
		}
	}
	return nil
}

// flush writes the shard that has been filled and enters it into the manifest.
func (b *builder) flush() error {
	tokens, name := len(b.body)/tokenSize, shardName(len(b.manifest.Shards))
	if len(b.manifest.Shards) == maxShards {
		return fmt.Errorf("the text needs more than %d shards of %d tokens", maxShards, b.limit)
	}
	header := appendShardHeader(nil, tokens)
	if err := writeFile(filepath.Join(b.dir, name), header, b.body); err != nil {
		return err
	}
	h := sha256.New()
	h.Write(header)
	h.Write(b.body)
	b.manifest.Shards = append(b.manifest.Shards, Shard{
		File: name, Tokens: tokens, Bytes: shardSize(tokens), SHA256: hex.EncodeToString(h.Sum(nil)),
	})
	b.manifest.Tokens += uint64(tokens)
	b.body = b.body[:0]
	return nil
}

func (b *builder) record(at cursor) error {
	src, err := json.Marshal(journal{b.manifest, at})
	if err != nil {
		return fmt.Errorf("encode journal: %w", err)
	}
	return writeFile(filepath.Join(b.dir, journalName), src)
}

// writeFile writes a file that a power cut leaves whole.
func writeFile(path string, parts ...[]byte) error {
	return durable.WriteFile(path, 0o644, durable.Name, parts...)
}

func (b *builder) report(i int, offset int64) {
	if b.progress == nil {
		return
	}
	done, total := offset, int64(0)
	for j, in := range b.manifest.Inputs {
		total += in.Bytes
		if j < i {
			done += in.Bytes
		}
	}
	b.progress(min(done, total), total)
}
