package shards

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
)

// Options say how a run reads its token shards.
type Options struct {
	SeqLen      int     // inputs per sequence, in tokens
	Seed        uint64  // of the run; it keys the order of the training windows
	ValFraction float64 // part of the tokens, at the end, that is kept for validation: 0 ≤ ValFraction < 1
}

// Dataset is a Source over token shards, wherever they are: it reads the ranges that a sequence lies in when the sequence is
// asked for. Nothing is held in memory; caching and fetching ahead (see Needs) are up to the files.
type Dataset struct {
	shards      []Shard
	ends        []uint64 // tokens up to and with each shard
	at          func(shard int) (io.ReaderAt, error)
	files       []file
	vocab       int
	seqLen      int
	split       uint64 // the first token of validation
	train       order
	validation  order
	validations int
	buffers     sync.Pool // *[]byte of one sequence
}

// file is a shard that has been read from, or will be.
type file struct {
	mu sync.Mutex
	r  io.ReaderAt // nil until its header has been checked
}

// validationSeed keys the order of the validation sequences, the same for every run.
const validationSeed = 0x76616c6964617465

// OpenFrom returns the sequences of a manifest whose shards are read through at. It reads nothing yet, and fails only if the
// manifest is not valid (ErrCorrupt), or has not one training sequence, or none for validation though ValFraction asks
// for some.
//
// at hands out the file of a shard, an index in Manifest.Shards, when the shard is first read, and again only after an
// error; it may be called for several shards at once. Close closes what it handed out, if that is an io.Closer. Who wants
// to interrupt a read gives the file a context of its own: an error of at or of a read comes back from Sequence, wrapped,
// with the shard and the range, and the same call may be tried again. The file must hold what the manifest's hash names;
// here only its header and the range of its tokens are checked.
func OpenFrom(m *Manifest, at func(shard int) (io.ReaderAt, error), o Options) (*Dataset, error) {
	if err := m.validate(); err != nil {
		return nil, fmt.Errorf("open token shards: %w: %w", ErrCorrupt, err)
	}
	if o.SeqLen < 1 || !(o.ValFraction >= 0 && o.ValFraction < 1) {
		return nil, fmt.Errorf("open token shards: seq_len %d must be at least 1 and val_fraction %v from 0 to below 1", o.SeqLen, o.ValFraction)
	}
	forValidation := uint64(math.Round(o.ValFraction * float64(m.Tokens)))
	d := &Dataset{
		shards: slices.Clone(m.Shards), at: at, files: make([]file, len(m.Shards)),
		vocab: m.Vocab, seqLen: o.SeqLen, split: m.Tokens - forValidation,
	}
	d.train = newOrder(windows(d.split, o.SeqLen), o.SeqLen, o.Seed)
	d.validation = newOrder(windows(forValidation, o.SeqLen), o.SeqLen, validationSeed)
	d.validations = int(d.validation.n)
	if d.train.n == 0 {
		return nil, fmt.Errorf("data.source %s has %d tokens for training, fewer than one sequence of data.seq_len %d and its target", m.Corpus, d.split, o.SeqLen)
	}
	if o.ValFraction > 0 && d.validations == 0 {
		return nil, fmt.Errorf("data.source %s has %d tokens for validation, fewer than one sequence of data.seq_len %d: raise data.val_fraction", m.Corpus, forValidation, o.SeqLen)
	}
	sum := uint64(0)
	for _, s := range d.shards {
		sum += uint64(s.Tokens)
		d.ends = append(d.ends, sum)
	}
	d.buffers.New = func() any { b := make([]byte, tokenSize*(o.SeqLen+1)); return &b }
	return d, nil
}

// windows is how many sequences of seqLen inputs, each with its target one token further, lie end to end in n tokens.
func windows(n uint64, seqLen int) uint64 {
	if n == 0 {
		return 0
	}
	return (n - 1) / uint64(seqLen)
}

// Close releases the files. No sequence may be read afterwards.
func (d *Dataset) Close() error {
	var errs []error
	for i := range d.files {
		if c, ok := d.files[i].r.(io.Closer); ok {
			errs = append(errs, c.Close())
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close token shards: %w", err)
	}
	return nil
}

// Vocab, SeqLen, Validations, Sequence and Validation make a Dataset a Source.
func (d *Dataset) Vocab() int { return d.vocab }

// SeqLen is the number of inputs in a sequence, in tokens.
func (d *Dataset) SeqLen() int { return d.seqLen }

// Validations is the number of validation sequences.
func (d *Dataset) Validations() int { return d.validations }

// Windows is the number of training sequences in an epoch.
func (d *Dataset) Windows() uint64 { return d.train.n }

// Sequence reads the training sequence at a stream position.
func (d *Dataset) Sequence(dst []int32, position uint64) error {
	return d.read(dst, d.trainingToken(position))
}

// Validation reads a validation sequence.
func (d *Dataset) Validation(dst []int32, index int) error {
	if index < 0 || index >= d.validations {
		return fmt.Errorf("validation sequence %d: there are %d", index, d.validations)
	}
	return d.read(dst, d.validationToken(index))
}

// trainingToken is the first token of the sequence at a stream position.
func (d *Dataset) trainingToken(position uint64) uint64 {
	return d.train.at(position) * uint64(d.seqLen)
}

// validationToken is the first token of a validation sequence.
func (d *Dataset) validationToken(index int) uint64 {
	return d.split + d.validation.at(uint64(index))*uint64(d.seqLen)
}

// read fills dst with the SeqLen+1 tokens from token at on, across shards.
func (d *Dataset) read(dst []int32, at uint64) error {
	if len(dst) != d.seqLen+1 {
		return fmt.Errorf("read sequence: room for %d tokens, want %d", len(dst), d.seqLen+1)
	}
	buf := d.buffers.Get().(*[]byte)
	defer d.buffers.Put(buf)
	raw := *buf
	for r := range d.pieces(at) {
		n := r.Hi - r.Lo
		if err := d.readRange(raw[:n], r); err != nil {
			return err
		}
		raw = raw[n:]
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

func (d *Dataset) readRange(dst []byte, r Range) error {
	f, err := d.file(r.Shard)
	if err == nil {
		err = readAt(f, dst, r.Lo)
	}
	if err != nil {
		return fmt.Errorf("token shard %s, bytes %d to %d: %w", d.shards[r.Shard].File, r.Lo, r.Hi, err)
	}
	return nil
}

// file is the file of a shard, with its header checked.
func (d *Dataset) file(i int) (io.ReaderAt, error) {
	f := &d.files[i]
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.r != nil {
		return f.r, nil
	}
	r, err := d.at(i)
	if err != nil {
		return nil, err
	}
	header := make([]byte, shardHeaderSize)
	if err = readAt(r, header, 0); err == nil {
		err = checkShardHeader(header, d.shards[i].Tokens)
	}
	if err != nil {
		if c, ok := r.(io.Closer); ok {
			_ = c.Close() // the error that matters is the first
		}
		return nil, fmt.Errorf("header: %w", err)
	}
	f.r = r
	return r, nil
}

// readAt fills dst from a file that should be long enough.
func readAt(r io.ReaderAt, dst []byte, offset int64) error {
	n, err := r.ReadAt(dst, offset)
	switch {
	case n == len(dst): // then even io.EOF is none
		return nil
	case errors.Is(err, io.EOF):
		return fmt.Errorf("%w: the file ends at byte %d", ErrCorrupt, offset+int64(n))
	default:
		return err
	}
}
