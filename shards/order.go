package shards

const (
	chunkTokens = 1 << 19 // 1 MiB of tokens, four blocks of 256 KiB as IPFS cuts files
	groupChunks = 16
)

// order is a shuffle of windows in two levels. Chunks of contiguous windows are shuffled; every groupChunks of them, as they
// come, form a group, and the windows of a group are shuffled among themselves. Positions near each other therefore lie in
// one group, or in a few, whose chunks are all of the corpus that a worker needs at a time.
//
// Every window of an epoch comes up once. Nothing is stored: any position costs the same, however large the corpus.
type order struct {
	n     uint64 // windows, at least 1
	chunk uint64 // windows in a chunk; the last one may have fewer
	seed  uint64
}

func newOrder(n uint64, seqLen int, seed uint64) order {
	return order{n: n, chunk: uint64(max(1, chunkTokens/seqLen)), seed: seed}
}

// at is the window at a stream position.
func (o order) at(position uint64) uint64 {
	return o.epoch(position / o.n).at(position % o.n)
}

// epoch is the order of one epoch. Chunks go to slots. The chunk with fewer windows may go to any: it counts as a full one
// whose last windows are gaps, so that slots and groups lie at multiples, and positions behind the gaps are moved by them.
type epoch struct {
	order
	number uint64
	slots  permutation // slot → chunk
	short  uint64      // the slot of the last chunk
	gaps   uint64      // windows that the last chunk lacks
}

func (o order) epoch(number uint64) epoch {
	chunks := (o.n-1)/o.chunk + 1
	slots := newPermutation(chunks, "skein/chunks/1", o.seed, number)
	return epoch{order: o, number: number, slots: slots, short: slots.find(chunks - 1), gaps: chunks*o.chunk - o.n}
}

// at is the window at position p < n of the epoch.
func (e epoch) at(p uint64) uint64 {
	full := groupChunks * e.chunk
	shortGroup := e.short / groupChunks
	if p >= (shortGroup+1)*full-e.gaps {
		p += e.gaps
	}
	group := p / full
	size := min(full, e.slots.n*e.chunk-group*full)
	if group == shortGroup {
		size -= e.gaps
	}
	p = group*full + newPermutation(size, "skein/group/1", e.seed, e.number, group).at(p%full)
	if group == shortGroup && p >= (e.short+1)*e.chunk-e.gaps {
		p += e.gaps
	}
	return e.slots.at(p/e.chunk)*e.chunk + p%e.chunk
}
