package checkpoint

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint/safetensors"
	"github.com/skein-train/skein/gradients"
)

// state is skein/state.json: what a resume needs beside the vectors, and what a person wants to see.
type state struct {
	Version    int             `json:"version"`
	Run        aggregator.Hash `json:"run"`
	Name       string          `json:"name"`
	Method     string          `json:"method"`
	Codec      string          `json:"codec"`
	Tokenizer  string          `json:"tokenizer"`
	Parameters int             `json:"parameters"`
	Seq        aggregator.Seq  `json:"seq"`
	Step       uint64          `json:"step"`
	Root       aggregator.Hash `json:"root"`
	Parent     string          `json:"parent"`
	OuterSlots int             `json:"outer_slots"`
	Fragments  []int           `json:"fragments"` // number of tensors of each, in the order of model.safetensors
}

const stateVersion = 1

// files lists the folder's files; the vectors are read when the files are.
func (c *Checkpoint) files() ([]File, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	model, err := tensorFile(fileModel, tensorsOf(c.Layout, "", c.Anchor))
	if err != nil {
		return nil, err
	}
	var slots []safetensors.Tensor
	for i, v := range c.Outer {
		slots = append(slots, tensorsOf(c.Layout, slotPrefix(i), v)...)
	}
	outer, err := tensorFile(fileOuter, slots)
	if err != nil {
		return nil, err
	}
	out := []File{
		model, outer,
		jsonFile(fileConfig, configOf(c)),
		jsonFile(fileGeneration, generationOf(c)),
		jsonFile(fileState, c.state()),
		bytesFile(fileCertificates, encodeCertificates(c.Certificates)),
		bytesFile(fileManifest, c.Manifest.Encode()),
		bytesFile(fileRecipe, c.Recipe),
	}
	if len(c.Tokenizer.JSON) > 0 {
		out = append(out, bytesFile(fileTokenizer, c.Tokenizer.JSON), jsonFile(fileTokenizerConfig, tokenizerConfigOf(c)))
	}
	return out, nil
}

func (c *Checkpoint) state() state {
	s := state{
		Version: stateVersion, Run: c.Manifest.Hash(), Name: c.Manifest.Name, Method: c.Manifest.Method, Codec: c.Manifest.Codec,
		Tokenizer: c.Tokenizer.Name, Parameters: len(c.Anchor), Seq: c.Seq, Step: c.Step, Root: c.Root, Parent: c.Parent,
		OuterSlots: len(c.Outer),
	}
	for _, f := range c.Layout.Fragments() {
		s.Fragments = append(s.Fragments, len(c.Layout.In(f)))
	}
	return s
}

// slotPrefix stands before a tensor's name in skein/outer.safetensors.
func slotPrefix(i int) string { return "outer." + strconv.Itoa(i) + "." }

func tensorsOf(l gradients.Layout, prefix string, v gradients.Vec) []safetensors.Tensor {
	out := make([]safetensors.Tensor, len(l))
	for i, t := range l {
		out[i] = safetensors.Tensor{Name: prefix + t.Name, Shape: t.Shape, Values: v[t.Off : t.Off+t.Len()]}
	}
	return out
}

func tensorFile(path string, tensors []safetensors.Tensor) (File, error) {
	r, _, err := safetensors.Reader(tensors)
	if err != nil {
		return File{}, fmt.Errorf("%s: %w", path, err)
	}
	return File{Path: path, Data: r}, nil
}

func bytesFile(path string, b []byte) File { return File{Path: path, Data: bytes.NewReader(b)} }

func jsonFile(path string, v any) File {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // plain data: cannot fail
	}
	return bytesFile(path, append(b, '\n'))
}
