package shards

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"sort"
	"sync"
)

// Options say how a run reads its token shards.
type Options struct {
	SeqLen      int     // inputs per sequence, in tokens
	Seed        uint64  // of the run; it keys the order of the training windows
	ValFraction float64 // part of the tokens, at the end, that is kept for validation: 0 ≤ ValFraction < 1
}

// Dataset is a Source over a folder of token shards. Sequences are read from the files when they are asked for, which
// the operating system caches; nothing is held in memory.
type Dataset struct {
	files       []*os.File
	ends        []uint64 // tokens up to and with each file
	vocab       int
	seqLen      int
	seed        uint64
	train       uint64 // tokens before the validation split
	windows     uint64 // of training
	validations int
	order       permutation // of the validation sequences
	buffers     sync.Pool   // *[]byte of one sequence
}

// validationSeed keys the order of the validation sequences, the same for every run.
const validationSeed = 0x76616c6964617465

// Open checks the manifest, the sizes and the headers of the shards in dir (Verify checks every byte) and returns the
// sequences. It fails if there is not one training sequence, or none for validation though ValFraction asks for some.
func Open(dir string, o Options) (*Dataset, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if o.SeqLen < 1 || !(o.ValFraction >= 0 && o.ValFraction < 1) {
		return nil, fmt.Errorf("open token shards: seq_len %d must be at least 1 and val_fraction %v from 0 to below 1", o.SeqLen, o.ValFraction)
	}
	validation := uint64(math.Round(o.ValFraction * float64(m.Tokens)))
	d := &Dataset{vocab: m.Vocab, seqLen: o.SeqLen, seed: o.Seed, train: m.Tokens - validation}
	d.windows = windows(d.train, o.SeqLen)
	d.validations = int(windows(validation, o.SeqLen))
	if d.windows == 0 {
		return nil, fmt.Errorf("data.source %s has %d tokens for training, fewer than one sequence of data.seq_len %d and its target", m.Corpus, d.train, o.SeqLen)
	}
	if o.ValFraction > 0 && d.validations == 0 {
		return nil, fmt.Errorf("data.source %s has %d tokens for validation, fewer than one sequence of data.seq_len %d: raise data.val_fraction", m.Corpus, validation, o.SeqLen)
	}
	if d.validations > 0 {
		d.order = newPermutation(uint64(d.validations), validationSeed, 0)
	}
	d.buffers.New = func() any { b := make([]byte, tokenSize*(o.SeqLen+1)); return &b }
	if err := d.open(dir, m); err != nil {
		d.Close()
		return nil, err
	}
	return d, nil
}

// windows is how many sequences of seqLen inputs, each with its target one token further, lie end to end in n tokens.
func windows(n uint64, seqLen int) uint64 {
	if n == 0 {
		return 0
	}
	return (n - 1) / uint64(seqLen)
}

func (d *Dataset) open(dir string, m *Manifest) error {
	sum := uint64(0)
	for _, s := range m.Shards {
		f, err := openShard(filepath.Join(dir, s.File), s)
		if err != nil {
			return err
		}
		sum += uint64(s.Tokens)
		d.files, d.ends = append(d.files, f), append(d.ends, sum)
	}
	return nil
}

// openShard opens one file and compares its header and size with the manifest.
func openShard(path string, s Shard) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open token shard (make it again with `skein data prepare`): %w", err)
	}
	if err := checkShard(f, s); err != nil {
		f.Close()
		return nil, fmt.Errorf("token shard %s: %w; make it again with `skein data prepare`", path, err)
	}
	return f, nil
}

func checkShard(f *os.File, s Shard) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	header := make([]byte, min(shardHeaderSize, info.Size()))
	if _, err := f.ReadAt(header, 0); err != nil {
		return err
	}
	tokens, err := parseShardHeader(header, info.Size())
	if err != nil {
		return err
	}
	if tokens != s.Tokens {
		return fmt.Errorf("%w: %d tokens, the manifest says %d", ErrCorrupt, tokens, s.Tokens)
	}
	return nil
}

// Close releases the files. No sequence may be read afterwards.
func (d *Dataset) Close() error {
	var first error
	for _, f := range d.files {
		if err := f.Close(); err != nil && first == nil {
			first = fmt.Errorf("close token shard: %w", err)
		}
	}
	return first
}

// Vocab, SeqLen, Validations, Sequence and Validation make a Dataset a Source.
func (d *Dataset) Vocab() int { return d.vocab }

// SeqLen is the number of inputs in a sequence, in tokens.
func (d *Dataset) SeqLen() int { return d.seqLen }

// Validations is the number of validation sequences.
func (d *Dataset) Validations() int { return d.validations }

// Windows is the number of training sequences in an epoch.
func (d *Dataset) Windows() uint64 { return d.windows }

// Sequence reads the training sequence at a stream position.
func (d *Dataset) Sequence(dst []int32, position uint64) error {
	window := newPermutation(d.windows, d.seed, position/d.windows).at(position % d.windows)
	return d.read(dst, window*uint64(d.seqLen))
}

// Validation reads a validation sequence.
func (d *Dataset) Validation(dst []int32, index int) error {
	if index < 0 || index >= d.validations {
		return fmt.Errorf("validation sequence %d: there are %d", index, d.validations)
	}
	return d.read(dst, d.train+d.order.at(uint64(index))*uint64(d.seqLen))
}

// read fills dst with the SeqLen+1 tokens from token at on, across shards.
func (d *Dataset) read(dst []int32, at uint64) error {
	if len(dst) != d.seqLen+1 {
		return fmt.Errorf("read sequence: room for %d tokens, want %d", len(dst), d.seqLen+1)
	}
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	raw := *buf
	for i := sort.Search(len(d.ends), func(i int) bool { return d.ends[i] > at }); len(raw) > 0; i++ {
		start := uint64(0)
		if i > 0 {
			start = d.ends[i-1]
		}
		n := min(len(raw), int(d.ends[i]-at)*tokenSize)
		if _, err := d.files[i].ReadAt(raw[:n], shardHeaderSize+int64(at-start)*tokenSize); err != nil {
			return fmt.Errorf("read token shard %s: %w", d.files[i].Name(), err)
		}
		raw, at = raw[n:], at+uint64(n/tokenSize)
	}
	for i := range dst {
		id := int32(binary.LittleEndian.Uint16((*buf)[tokenSize*i:]))
		if id >= int32(d.vocab) {
			return fmt.Errorf("%w: token %d is outside of the vocabulary of %d; check the folder with `skein data verify`", ErrCorrupt, id, d.vocab)
		}
		dst[i] = id
	}
	return nil
}

// Verify reads every shard in dir and compares its hash with the manifest. progress, unless nil, is told the bytes done
// and in all.
func Verify(ctx context.Context, dir string, progress func(done, total int64)) (*Manifest, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	done, total := int64(0), int64(0)
	for _, s := range m.Shards {
		total += s.Bytes
	}
	for _, s := range m.Shards {
		path := filepath.Join(dir, s.File)
		f, err := openShard(path, s)
		if err != nil {
			return nil, err
		}
		f.Close()
		sum, n, err := hashFile(ctx, path)
		if err != nil {
			return nil, err
		}
		if sum != s.SHA256 {
			return nil, fmt.Errorf("%w: %s has the sha256 %s, the manifest says %s; make it again with `skein data prepare`", ErrCorrupt, path, sum, s.SHA256)
		}
		if done += n; progress != nil {
			progress(done, total)
		}
	}
	return m, nil
}
