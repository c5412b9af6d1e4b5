package cli

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/skein-train/skein/bench"
	"github.com/skein-train/skein/configs"
	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
)

// small is a run file of a small model, with more of it.
func small(t *testing.T, more string) configs.Config {
	t.Helper()
	c, err := configs.Parse([]byte("name: small\nseed: 3\n" +
		"model: {hidden_size: 16, intermediate_size: 32, num_hidden_layers: 2, num_attention_heads: 2, num_key_value_heads: 1, vocab_size: 256}\n" +
		"data: {source: enwik7, tokenizer: byte, seq_len: 8}\ninner: {warmup_steps: 2}\ntrain: {steps: 8, batch_size: 2, micro_batch_size: 2}\nswarm: {local_workers: 3}\n" + more))
	if err != nil {
		t.Fatalf("%s: %v", more, err)
	}
	return c
}

// Every method runs to its end from its row: what a run file says becomes parts that fit together, and the same run ends in the same state.
func TestEveryMethodRuns(t *testing.T) {
	for name, more := range map[string]string{
		"ddp":                  "sync: {codec: bf16}\nouter: {method: ddp}\n",
		"fedavg":               "sync: {every: 4, codec: f32}\nouter: {method: fedavg}\n",
		"diloco":               "sync: {every: 4}\nouter: {method: diloco}\n",
		"streaming":            "sync: {every: 4, fragments: 2, delay: 1, blend: 0.5, codec: e3m0}\nouter: {method: diloco}\n",
		"eager":                "sync: {every: 4}\nouter: {method: eager}\n",
		"sparseloco":           "sync: {every: 4}\nouter: {method: sparseloco}\n",
		"sparseloco, senders":  "sync: {every: 4}\nouter: {method: sparseloco, average: senders}\n",
		"demo":                 "outer: {method: demo}\n",
		"noloco":               "sync: {every: 4}\nouter: {method: noloco}\n",
		"noloco, everybody":    "sync: {every: 4, topology: all}\nouter: {method: noloco}\n",
		"muloco":               "sync: {every: 4}\nouter: {method: muloco}\n",
		"async":                "sync: {every: 4}\nouter: {method: async}\n",
		"async, with feedback": "sync: {every: 4, codec: topk:1/8+f32, error_feedback: 1}\nouter: {method: async}\n",
		"elastic":              "sync: {every: 4, grace: 1s}\nouter: {method: elastic}\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := small(t, more)
			run := func() *bench.Result {
				r, err := rehearse(t.Context(), c, bench.Options{Hosts: slices.Repeat([]bench.Host{{Up: 1e6, Down: 1e6, Step: time.Second}}, 3), Assign: shards.Assign})
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			if one, two := run(), run(); fmt.Sprint(one) != fmt.Sprint(two) || slices.Min(one.Payload) == 0 {
				t.Errorf("two runs of the same options: %+v and %+v", one, two)
			}
		})
	}
}

// A number that one of two workers sends is halved by the mean over all of them, and not by the mean over senders.
func TestAverage(t *testing.T) {
	for average, want := range map[string]float64{"all": 1, "senders": 2} {
		p, err := partsOf(small(t, "outer: {method: sparseloco, average: "+average+"}\nsync: {every: 4, codec: topk:1/4096+f32}\n"))
		if err != nil {
			t.Fatal(err)
		}
		f := p.layout.Fragments()[0]
		codec, err := p.method.Codec(p.layout, f)
		if err != nil {
			t.Fatal(err)
		}
		sum, mean := codec.NewSum(), make(gradients.Vec, f.Len())
		for i := range 2 {
			v := make(gradients.Vec, f.Len())
			v[i] = 2
			if err := sum.Add(1, codec.Append(nil, gradients.Key{}, v, nil)); err != nil {
				t.Fatal(err)
			}
		}
		if sum.Mean(mean); math.Abs(float64(mean[0])-want) > 1e-6 || mean[0] != mean[1] {
			t.Errorf("%s: two numbers of 2, sent by one worker each, become %g and %g", average, mean[0], mean[1])
		}
	}
}
