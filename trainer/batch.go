package trainer

import (
	"fmt"

	"github.com/skein-train/skein/shards"
)

// batch is host memory for one micro-batch of token ids.
type batch struct {
	sequence        []int32 // [T+1]
	tokens, targets []int32 // [B·T]
	vocab           int
	held            held
}

// held is what rows were filled from: training sequences from that stream position on, or anything else.
type held struct {
	from  uint64
	known bool
}

func newBatch(size int, data shards.Source) batch {
	t := data.SeqLen()
	return batch{
		sequence: make([]int32, t+1), tokens: make([]int32, size*t), targets: make([]int32, size*t), vocab: data.Vocab(),
	}
}

// fill makes row i of the batch from the sequence that read produces: its first T tokens are the inputs, its last T the targets.
func (b batch) fill(i int, read func(dst []int32) error) error {
	if err := read(b.sequence); err != nil {
		return err
	}
	for _, id := range b.sequence { // kernels do not check, and would follow a bad id out of their memory
		if id < 0 || int(id) >= b.vocab {
			return fmt.Errorf("token id %d is outside the vocabulary of %d; the shards belong to another tokenizer", id, b.vocab)
		}
	}
	t := len(b.sequence) - 1
	copy(b.tokens[i*t:(i+1)*t], b.sequence[:t])
	copy(b.targets[i*t:(i+1)*t], b.sequence[1:])
	return nil
}
