// Command curve trains one replica without an exchange and writes down everything that another program needs to repeat
// it: sizes, first weights, batches, and the loss of every step. scripts/curve-torch runs it and repeats it in PyTorch.
//
//	go run ./scripts/lib/curve [-library onednn,builtin] [-precision fp32] [-threads N] [-only NAME] [-golden] DIR
//
// For each of its cases it writes DIR/NAME.json (a Case), DIR/NAME.weights (float32, in the order of Layout) and DIR/NAME.tokens
// (int32 [steps · sequences of a batch, SeqLen + 1]), little-endian.
package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/shards"
	"github.com/skein-train/skein/trainer"
	"github.com/skein-train/skein/trainer/engine"
	"github.com/skein-train/skein/trainer/engine/auto"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("curve: ")
	libraries := flag.String("library", "", "matrix libraries, comma-separated; empty: the best found")
	precision := flag.String("precision", "fp32", "of the engine")
	threads := flag.Int("threads", 1, "of the engine")
	only := flag.String("only", "", "one of the cases, by its name")
	golden := flag.Bool("golden", false, "the very small cases whose curves are test data, instead of those on a real text")
	flag.Parse()
	if flag.NArg() != 1 {
		log.Fatal("name one folder to write to")
	}
	var engines []engine.Options
	for _, l := range strings.Split(*libraries, ",") {
		engines = append(engines, engine.Options{Kind: "cpu", Library: l, Precision: *precision, Threads: *threads})
	}
	cases := onText
	if *golden {
		cases = verySmall
	}
	for _, c := range cases() {
		if *only != "" && *only != c.Name {
			continue
		}
		if err := write(c, engines, flag.Arg(0)); err != nil {
			log.Fatalf("%s: %v", c.Name, err)
		}
	}
}

// write trains the case once with each engine.
func write(c Case, engines []engine.Options, dir string) error {
	data, err := c.source(dir)
	if err != nil {
		return err
	}
	c.Engines = map[string][]float64{}
	for _, o := range engines {
		if err := c.train(o, data); err != nil {
			return err
		}
	}
	tokens, err := c.tokens(data)
	if err != nil {
		return err
	}
	description, err := json.Marshal(c)
	if err != nil {
		return err
	}
	for ending, content := range map[string][]byte{"json": description, "weights": bytesOf(c.first), "tokens": bytesOf(tokens)} {
		if err := os.WriteFile(filepath.Join(dir, c.Name+"."+ending), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// train adds the losses of the engine that o asks for.
func (c *Case) train(o engine.Options, data shards.Source) error {
	e, err := auto.Open(o)
	if err != nil {
		return err
	}
	defer e.Close()
	r, err := trainer.New(trainer.Options{
		Model: c.Model, Fragments: 1, Inner: c.Inner, BatchSize: c.BatchSize, MicroBatchSize: c.MicroBatchSize,
		Steps: uint64(c.Steps), Seed: c.Seed, Engine: e,
	}, data)
	if err != nil {
		return err
	}
	c.Layout, c.first = r.Layout(), make(gradients.Vec, r.Len())
	r.Read(c.first, gradients.Fragment{Hi: r.Len()})
	if err := r.Begin(shards.Seat{Count: uint64(c.Steps * c.BatchSize)}); err != nil {
		return err
	}
	var losses []float64
	for range c.Steps {
		loss, err := r.Step(context.Background())
		if err != nil {
			return err
		}
		losses = append(losses, loss)
	}
	c.Engines[e.Name()] = losses
	fmt.Fprintf(os.Stderr, "%s: %s: %d steps, loss %.4f to %.4f\n", c.Name, e.Name(), c.Steps, losses[0], losses[c.Steps-1])
	return nil
}

// tokens are the sequences of all steps in the order in which a replica whose seat starts at 0 reads them.
func (c *Case) tokens(data shards.Source) ([]int32, error) {
	width := c.SeqLen + 1
	all := make([]int32, c.Steps*c.BatchSize*width)
	for i := range c.Steps * c.BatchSize {
		if err := data.Sequence(all[i*width:(i+1)*width], uint64(i)); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func bytesOf[T int32 | float32](v []T) []byte {
	b, _ := binary.Append(nil, binary.LittleEndian, v) // numbers of a fixed size cannot fail
	return b
}
