package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"

	"github.com/skein-train/skein/aggregator"
	"github.com/skein-train/skein/checkpoint/safetensors"
	"github.com/skein-train/skein/gradients"
)

// ErrMalformed is wrapped by every error about a folder that is no whole checkpoint.
var ErrMalformed = errors.New("malformed checkpoint")

const maxSmallFile = 32 << 20 // bytes; of every file without vectors, apart from the certificates

// Read reads a checkpoint out of its folder, which may come from anyone: from Source.Open, or os.DirFS. maxBytes bounds
// what is allocated for vectors and certificates together. The manifest's signature, sizes and names are checked; for certificates and hashes
// see Verify.
func Read(folder fs.FS, maxBytes int64) (*Checkpoint, error) {
	r := reader{folder: folder, left: maxBytes}
	c, err := r.read()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return c, nil
}

// reader reads the folder's files within a budget of bytes.
type reader struct {
	folder fs.FS
	left   int64
}

func (r *reader) read() (*Checkpoint, error) {
	c := &Checkpoint{}
	manifest, err := r.small(fileManifest)
	if err != nil {
		return nil, err
	}
	if c.Manifest, err = aggregator.DecodeManifest(manifest); err != nil {
		return nil, err
	}
	if c.Recipe, err = r.small(fileRecipe); err != nil {
		return nil, err
	}
	var s state
	if err := r.state(c, &s); err != nil {
		return nil, err
	}
	if err := r.model(c, s.Tokenizer); err != nil {
		return nil, err
	}
	if err := r.certificates(c); err != nil {
		return nil, err
	}
	if err := r.anchor(c, s.Fragments); err != nil {
		return nil, err
	}
	if err := r.outer(c, s.OuterSlots); err != nil {
		return nil, err
	}
	return c, c.Validate()
}

// open opens a file and takes its size off the budget.
func (r *reader) open(name string) (fs.File, int64, error) {
	f, err := r.folder.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	if err == nil && (!info.Mode().IsRegular() || info.Size() > r.left) {
		err = fmt.Errorf("%s: %d bytes, %d are allowed", name, info.Size(), r.left)
	}
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	r.left -= info.Size()
	return f, info.Size(), nil
}

// small reads a whole file that holds no vectors.
func (r *reader) small(name string) ([]byte, error) {
	f, err := r.folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSmallFile+1))
	if err == nil && len(b) > maxSmallFile {
		err = fmt.Errorf("%s: more than %d bytes", name, maxSmallFile)
	}
	return b, err
}

func (r *reader) state(c *Checkpoint, s *state) error {
	b, err := r.small(fileState)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(s); err != nil {
		return fmt.Errorf("%s: %w", fileState, err)
	}
	if s.Version != stateVersion || s.Run != c.Manifest.Hash() {
		return fmt.Errorf("%s: version %d of run %s, expected version %d of run %s", fileState, s.Version, s.Run.Short(), stateVersion, c.Manifest.Hash().Short())
	}
	c.Seq, c.Step, c.Root, c.Parent = s.Seq, s.Step, s.Root, s.Parent
	return nil
}

// model reads what transformers reads, apart from the tensors.
func (r *reader) model(c *Checkpoint, tokenizer string) error {
	b, err := r.small(fileConfig)
	if err != nil {
		return err
	}
	var config llamaConfig
	if err := json.Unmarshal(b, &config); err != nil {
		return fmt.Errorf("%s: %w", fileConfig, err)
	}
	c.Model = config.model()
	c.Tokenizer = Tokenizer{Name: tokenizer, Separator: config.EOSTokenID}
	if c.Tokenizer.JSON, err = r.small(fileTokenizer); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (r *reader) certificates(c *Checkpoint) error {
	f, _, err := r.open(fileCertificates)
	if err != nil {
		return err
	}
	defer f.Close()
	c.Certificates, err = decodeCertificates(f)
	return err
}

// anchor reads the parameters; their names and shapes are the layout.
func (r *reader) anchor(c *Checkpoint, fragments []int) error {
	tensors, all, err := r.tensors(fileModel, c.Manifest.Parameters)
	if err != nil {
		return err
	}
	for _, t := range tensors {
		c.Layout = append(c.Layout, gradients.Tensor{Name: t.Name, Shape: t.Shape, Off: c.Layout.Len()})
	}
	if err := cutLayout(c.Layout, fragments); err != nil {
		return fmt.Errorf("%s: %w", fileState, err)
	}
	if got := aggregator.LayoutHash(c.Layout); got != c.Manifest.LayoutHash {
		return fmt.Errorf("%s: layout %s, the manifest has %s", fileModel, got.Short(), c.Manifest.LayoutHash.Short())
	}
	c.Anchor = all
	return nil
}

// cutLayout gives the tensors their fragments, of which each has at least one tensor.
func cutLayout(l gradients.Layout, fragments []int) error {
	at := 0
	for id, n := range fragments {
		if n < 1 || n > len(l)-at {
			return fmt.Errorf("fragment %d of %d tensors, %d are left", id, n, len(l)-at)
		}
		for range n {
			l[at].Fragment = id
			at++
		}
	}
	if at != len(l) {
		return fmt.Errorf("%d tensors belong to no fragment", len(l)-at)
	}
	return nil
}

func (r *reader) outer(c *Checkpoint, slots int) error {
	if slots < 0 || slots > 16 {
		return fmt.Errorf("%s: %d outer slots", fileState, slots)
	}
	tensors, all, err := r.tensors(fileOuter, uint64(slots)*c.Manifest.Parameters)
	if err != nil {
		return err
	}
	if len(tensors) != slots*len(c.Layout) {
		return fmt.Errorf("%s: %d tensors, expected %d", fileOuter, len(tensors), slots*len(c.Layout))
	}
	for i := range slots {
		part := tensors[i*len(c.Layout):][:len(c.Layout)]
		for k, t := range part {
			want := c.Layout[k]
			if name, ok := strings.CutPrefix(t.Name, slotPrefix(i)); !ok || name != want.Name || !slices.Equal(t.Shape, want.Shape) {
				return fmt.Errorf("%s: tensor %q of shape %v, expected %q of %v", fileOuter, t.Name, t.Shape, slotPrefix(i)+want.Name, want.Shape)
			}
		}
		n := c.Layout.Len()
		c.Outer = append(c.Outer, all[i*n:(i+1)*n:(i+1)*n])
	}
	return nil
}

// tensors reads a file of at most that many values, which come back end to end too.
func (r *reader) tensors(name string, values uint64) ([]safetensors.Tensor, gradients.Vec, error) {
	f, size, err := r.open(name)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	out, all, err := safetensors.Read(f, size, int(min(values, math.MaxInt)))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", name, err)
	}
	return out, all, nil
}
