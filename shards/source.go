// Package shards turns text into token shards on disk and decides, purely, which worker trains on which of them.
//
// The data of a run is one endless stream of sequences that is the same on every machine. With W the number of
// training windows in the corpus, stream position g is a window of epoch g / W, by a shuffle keyed by the run's seed and
// the epoch. Positions that are handed out once are therefore windows that are trained once per epoch, and Assign hands
// every position out at most once. The shuffle keeps positions near each other in a few chunks of the corpus, so that a
// worker needs no more than those: Dataset reads them wherever they are, and Needs names them beforehand.
package shards

// Seat is what the log reserves for one worker in one round.
type Seat struct {
	First uint64 // global number, from 0, of the inner step that the round starts with
	Start uint64 // stream position of the first reserved sequence
	Count uint64 // sequences reserved, from Start on
}

// Source serves token sequences of SeqLen + 1 tokens: the inputs are the first SeqLen, the targets the last SeqLen.
// Its methods may be called from several goroutines at once. dst must be SeqLen + 1 long and holds garbage on error.
type Source interface {
	// Sequence reads the training sequence at a stream position; every position is valid.
	Sequence(dst []int32, position uint64) error
	// Validation reads validation sequence index, 0 ≤ index < Validations. The order is a fixed shuffle, the same for every
	// seed, so that the first few sequences are a fair sample of the split: of all of it, or of its first 16 chunks as
	// they are dealt.
	Validation(dst []int32, index int) error
	// Validations is the number of validation sequences.
	Validations() int
	// Vocab is the number of token ids: every token is in [0, Vocab).
	Vocab() int
	// SeqLen is the number of inputs in a sequence, in tokens.
	SeqLen() int
}
