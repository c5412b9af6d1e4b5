package shards

import (
	"cmp"
	"iter"
	"math"
	"slices"
	"sort"
)

// Range is the bytes [Lo, Hi) of the file of a shard.
type Range struct {
	Shard  int // index in Manifest.Shards
	Lo, Hi int64
}

// Needs lists what Sequence reads for the count stream positions from start on: the tokens and, of every shard among them,
// the header. Ranges that touch are merged; they come in the order of first use, so that a prefetch in that order is
// always ahead of the reader. Nothing is read. It costs O(count·log count) time and O(count) memory; beyond two epochs
// count makes no difference.
func (d *Dataset) Needs(start, count uint64) []Range {
	count = min(count, 2*d.train.n, math.MaxUint64-start)
	p := plan{dataset: d, started: map[int]bool{}}
	for i := range count {
		p.add(d.trainingToken(start + i))
	}
	return p.merged()
}

// NeedsValidation lists what Validation reads for the first n validation sequences, as Needs does.
func (d *Dataset) NeedsValidation(n int) []Range {
	p := plan{dataset: d, started: map[int]bool{}}
	for i := range min(n, d.validations) {
		p.add(d.validationToken(i))
	}
	return p.merged()
}

// plan collects the ranges that sequences lie in, in the order of use.
type plan struct {
	dataset *Dataset
	uses    []use
	started map[int]bool // shards whose header is in uses
}

type use struct {
	Range
	turn int // its place in the order of use
}

// add takes up the sequence from token at on.
func (p *plan) add(at uint64) {
	for r := range p.dataset.pieces(at) {
		if !p.started[r.Shard] {
			p.started[r.Shard] = true
			p.uses = append(p.uses, use{Range{r.Shard, 0, shardHeaderSize}, len(p.uses)})
		}
		p.uses = append(p.uses, use{r, len(p.uses)})
	}
}

func (p *plan) merged() []Range {
	slices.SortFunc(p.uses, func(a, b use) int { return cmp.Or(a.Shard-b.Shard, cmp.Compare(a.Lo, b.Lo)) })
	merged := p.uses[:0]
	for _, u := range p.uses {
		if i := len(merged) - 1; i >= 0 && merged[i].Shard == u.Shard && u.Lo <= merged[i].Hi {
			merged[i].Hi = max(merged[i].Hi, u.Hi)
			merged[i].turn = min(merged[i].turn, u.turn)
		} else {
			merged = append(merged, u)
		}
	}
	slices.SortFunc(merged, func(a, b use) int { return a.turn - b.turn })
	out := make([]Range, len(merged))
	for i, u := range merged {
		out[i] = u.Range
	}
	return out
}

// pieces yields where the seqLen + 1 tokens from token at on lie, in their order: one range, or more across shards.
func (d *Dataset) pieces(at uint64) iter.Seq[Range] {
	return func(yield func(Range) bool) {
		end := at + uint64(d.seqLen) + 1
		for i := sort.Search(len(d.ends), func(i int) bool { return d.ends[i] > at }); at < end; i++ {
			first := d.ends[i] - uint64(d.shards[i].Tokens)
			stop := min(end, d.ends[i])
			if !yield(Range{i, shardOffset(at - first), shardOffset(stop - first)}) {
				return
			}
			at = stop
		}
	}
}
