package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/skein-train/skein/internal/codecname"
)

// finding is one thing wrong with a Config. paths are the fields involved, the one to change first in front.
type finding struct {
	paths         []string
	message, hint string
}

// Validate checks every field and the relations between them. The error is of type *Error.
func (c Config) Validate() error {
	found, sound := c.checkFields()
	if sound {
		found = append(found, c.checkRelations()...)
	}
	if len(found) == 0 {
		return nil
	}
	e := &Error{}
	for _, f := range found {
		path, _, _ := strings.Cut(f.paths[0], "#")
		e.Problems = append(e.Problems, Problem{Path: path, Message: f.message, Hint: f.hint})
	}
	return e
}

// checkFields looks at every field by itself. sound tells whether all numbers are in range, which relations rely on.
func (c Config) checkFields() (found []finding, sound bool) {
	sound = true
	for _, f := range fieldsOf(&c) {
		if bad, hint := f.checkChoice(); bad != "" {
			found = append(found, finding{[]string{f.path}, f.path + ": " + bad, hint})
		}
		if in, ok := intervalOf(f.tag); ok {
			if bad := in.outside(f.value); bad != "" {
				found = append(found, finding{[]string{f.path}, f.path + ": " + bad, ""})
				sound = false
			}
		}
	}
	return found, sound
}

func (c Config) checkRelations() []finding {
	r := &relations{}
	r.model(c)
	r.sizes(c)
	r.method(c)
	r.schedule(c)
	r.swarm(c)
	r.engine(c)
	return r.found
}

// checkChoice looks whether text is one of the field's choices.
func (f field) checkChoice() (bad, hint string) {
	enum, later := list(f.tag.Get("enum")), list(f.tag.Get("later"))
	switch got := fmt.Sprint(f.value.Interface()); {
	case slices.Contains(later, got):
		return fmt.Sprintf("%s is not built yet", got), "use " + strings.Join(enum, " or ")
	case enum != nil && !slices.ContainsFunc(enum, func(choice string) bool { return isChoice(got, choice) }):
		return fmt.Sprintf("%q is not one of %s", got, strings.Join(enum, ", ")), nearest(got, slices.Concat(enum, later))
	}
	if f.tag.Get("form") == "codec" {
		_, err := codecname.Parse(f.value.String())
		if e := new(codecname.Error); errors.As(err, &e) {
			return e.Message, nearest(e.Got, e.Options)
		}
	}
	if f.value.Kind() == reflect.String && !utf8.ValidString(f.value.String()) {
		return "is not UTF-8 text", ""
	}
	return "", ""
}

// isChoice tells whether got is what a choice says: the same text, or with a number for the N of a numbered one.
func isChoice(got, choice string) bool {
	if !numbered(choice) {
		return got == choice
	}
	digits, ok := strings.CutPrefix(got, strings.TrimSuffix(choice, "N"))
	_, err := strconv.ParseUint(digits, 10, 8)
	return ok && err == nil
}

func numbered(choice string) bool { return strings.HasSuffix(choice, ":N") }

// relations collects what is wrong between fields.
type relations struct{ found []finding }

func (r *relations) fail(paths, message, hint string) {
	r.found = append(r.found, finding{strings.Fields(paths), message, hint})
}

// divides checks that part divides whole and says what to write instead.
func (r *relations) divides(wholePath string, whole int, partPath string, part int) {
	if whole%part == 0 {
		return
	}
	down, up := whole/part*part, (whole/part+1)*part
	hint := fmt.Sprintf("set %s to %d", wholePath, up)
	if down > 0 {
		hint = fmt.Sprintf("set %s to %d or %d", wholePath, down, up)
	}
	if d := divisorBelow(whole, part); d > 1 {
		hint += fmt.Sprintf(", or %s to %d", partPath, d)
	}
	r.fail(wholePath+" "+partPath, fmt.Sprintf("%s (%d) must be a multiple of %s (%d)", wholePath, whole, partPath, part), hint)
}

// divisorBelow is the largest divisor of n that is at most limit.
func divisorBelow(n, limit int) int {
	for d := min(n, limit); d > 1; d-- {
		if n%d == 0 {
			return d
		}
	}
	return 1
}

func (r *relations) engine(c Config) {
	if kind, _, _ := strings.Cut(c.Train.Engine, ":"); kind == "cuda" && c.Train.Precision != "bf16" {
		r.fail("train.engine train.precision", fmt.Sprintf("train.engine %s computes in bf16, train.precision is %s", c.Train.Engine, c.Train.Precision),
			"set train.precision to bf16, or train.engine to cpu")
	}
}

func (r *relations) model(c Config) {
	m := c.Model
	r.divides("model.hidden_size", m.HiddenSize, "model.num_attention_heads", m.NumAttentionHeads)
	r.divides("model.num_attention_heads", m.NumAttentionHeads, "model.num_key_value_heads", m.NumKeyValueHeads)
	if m.HiddenSize%m.NumAttentionHeads == 0 && m.HiddenSize/m.NumAttentionHeads%2 != 0 {
		r.fail("model.hidden_size model.num_attention_heads", fmt.Sprintf("a head of %d numbers (model.hidden_size / model.num_attention_heads) is odd: rotary embeddings turn pairs",
			m.HiddenSize/m.NumAttentionHeads), "")
	}
	if need := vocabOf(c.Data.Tokenizer); m.VocabSize != 0 && m.VocabSize < need {
		r.fail("model.vocab_size data.tokenizer", fmt.Sprintf("model.vocab_size (%d) is smaller than the %s tokenizer's vocabulary (%d tokens)", m.VocabSize, c.Data.Tokenizer, need),
			"set it to 0 to take the tokenizer's")
	}
	if m.MaxPositions != 0 && c.Data.SeqLen > m.MaxPositions {
		r.fail("data.seq_len model.max_position_embeddings", fmt.Sprintf("data.seq_len (%d tokens) is more than model.max_position_embeddings (%d)", c.Data.SeqLen, m.MaxPositions),
			fmt.Sprintf("set data.seq_len to %d or less, or model.max_position_embeddings to 0: then it follows data.seq_len", m.MaxPositions))
	}
}

// vocabOf is a tokenizer's number of tokens.
func vocabOf(tokenizer string) int {
	if tokenizer == "gpt2" {
		return 50257
	}
	return 256
}

func (r *relations) sizes(c Config) {
	if !safeName(c.Name) {
		r.fail("name", fmt.Sprintf("name %q: want up to 64 letters, digits, dots, dashes and underscores, not starting with a dot or dash", c.Name), "it names the folder runs/<name>")
	}
	if strings.TrimSpace(c.Data.Source) == "" {
		r.fail("data.source", "data.source is missing", "name a corpus (enwik7, opticks) or text files such as books/*.txt")
	}
	r.divides("train.batch_size", c.Train.BatchSize, "train.micro_batch_size", c.Train.MicroBatchSize)
	r.divides("train.steps", c.Train.Steps, "sync.every", c.Sync.Every)
	if c.Inner.WarmupSteps > c.Train.Steps {
		r.fail("inner.warmup_steps train.steps", fmt.Sprintf("inner.warmup_steps (%d) is more than train.steps (%d)", c.Inner.WarmupSteps, c.Train.Steps), "warm up over a tenth of the run or so")
	}
	if decay := c.Inner.decay(c.Train.Steps); c.Inner.WarmupSteps <= c.Train.Steps && c.Inner.WarmupSteps+decay > c.Train.Steps {
		r.fail("inner.decay_steps inner.warmup_steps train.steps", fmt.Sprintf("inner.warmup_steps (%d) and a decay of %d steps do not fit into train.steps (%d)",
			c.Inner.WarmupSteps, decay, c.Train.Steps), "set inner.decay_steps, or warm up for less")
	}
	if c.Eval.Every > 0 && c.Data.ValFraction == 0 {
		r.fail("eval.every data.val_fraction", "eval.every asks for validation, data.val_fraction keeps no text for it", "set data.val_fraction to 0.05, or eval.every to 0")
	}
}

// decay is the number of steps that the schedule wsd decays over; other schedules have none.
func (i Inner) decay(steps int) int {
	switch {
	case i.Schedule != "wsd":
		return 0
	case i.DecaySteps == 0:
		return steps / 5
	}
	return i.DecaySteps
}

func (r *relations) schedule(c Config) {
	s := c.Sync
	if s.Fragments > s.Every {
		r.fail("sync.fragments sync.every", fmt.Sprintf("sync.fragments (%d) is more than sync.every (%d): fragments depart one after the other within it", s.Fragments, s.Every), "")
	} else {
		r.divides("sync.every", s.Every, "sync.fragments", s.Fragments)
	}
	if s.Fragments > c.Model.NumHiddenLayers {
		r.fail("sync.fragments model.num_hidden_layers", fmt.Sprintf("sync.fragments (%d) is more than model.num_hidden_layers (%d): a fragment holds at least one block", s.Fragments, c.Model.NumHiddenLayers), "")
	}
	if s.Delay > s.Every {
		r.fail("sync.delay sync.every", fmt.Sprintf("sync.delay (%d inner steps) is more than sync.every (%d): a fragment would depart again before it landed", s.Delay, s.Every), "")
	}
}

func (r *relations) swarm(c Config) {
	private := true
	for i, a := range c.Swarm.Listen {
		loopback, err := checkListen(a)
		if err != nil {
			r.fail(element("swarm.listen", i)+" swarm.listen", fmt.Sprintf("swarm.listen: %q: %v", a, err), "such as /ip4/0.0.0.0/tcp/4001 or /ip4/0.0.0.0/udp/4001/quic-v1; port 0 takes a free one")
		}
		private = private && loopback
	}
	if c.Sync.MinPeers > c.Swarm.LocalWorkers && private {
		r.fail("sync.min_peers swarm.local_workers", fmt.Sprintf("sync.min_peers (%d) is more than swarm.local_workers (%d), and nobody else can join at %v",
			c.Sync.MinPeers, c.Swarm.LocalWorkers, c.Swarm.Listen), "")
	}
	r.services(c.Checkpoint.Remote)
}

// safeName tells whether s can be a folder's name on every system.
func safeName(s string) bool {
	if s == "" || len(s) > 64 || s[0] == '.' || s[0] == '-' || s[len(s)-1] == '.' {
		return false
	}
	for _, r := range s {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return false
		}
	}
	return true
}
