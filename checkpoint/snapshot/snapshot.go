// Package snapshot keeps a worker's private state on disk, so that it can go on after any crash. Two files take turns:
// the one that is being written is never the newest intact one. The bytes are in docs/wire.md, "Checkpoint folder and snapshots".
package snapshot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/skein-train/skein/gradients"
	"github.com/skein-train/skein/internal/durable"
)

// ErrNone says that there is no snapshot yet.
var ErrNone = errors.New("no snapshot")

// ErrDamaged is wrapped by every error about a file that is no intact snapshot.
var ErrDamaged = errors.New("damaged snapshot")

// Snapshot is what a worker saved.
type Snapshot struct {
	Number  uint64          // counts the saves of this worker from 1
	Header  []byte          // the caller's description of the vectors
	Vectors []gradients.Vec // bit for bit as they were
	Damaged error           // why the other file could not be used; nil if it is intact or absent
}

// Files is the pair of files of one worker. One goroutine uses it, and one process: nothing locks the folder.
type Files struct {
	dir   string
	known bool   // whether the fields below are set
	last  uint64 // number of the newest intact snapshot, 0 if there is none
	slot  int    // the file that holds it
}

// Open names the folder of a worker's snapshots and creates it if need be. It reads nothing.
func Open(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("snapshot: %w", err)
	}
	return &Files{dir: dir}, nil
}

func (f *Files) path(slot int) string {
	return filepath.Join(f.dir, [2]string{"a.snapshot", "b.snapshot"}[slot])
}

// Save writes a snapshot over the older of the two files and returns once it is on the disk. If it fails, a full disk
// say, the newest snapshot is still there and the next Save tries the same file again. header is at most MaxHeader
// bytes, vecs at most MaxVectors; they are streamed, not copied.
func (f *Files) Save(header []byte, vecs []gradients.Vec) error {
	if !f.known {
		if err := f.locate(); err != nil {
			return err
		}
	}
	number, slot := f.last+1, 0
	if f.last > 0 {
		slot = 1 - f.slot
	}
	if err := overwrite(f.path(slot), number, header, vecs); err != nil {
		return fmt.Errorf("snapshot %d: %w", number, err)
	}
	f.last, f.slot = number, slot
	return nil
}

// overwrite works in place: the file keeps its disk blocks, so that a disk that fills up later does not stop the snapshots. A file
// that is not there yet appears whole or not at all: beside the first snapshot there is no other to fall back to.
func overwrite(path string, number uint64, header []byte, vecs []gradients.Vec) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return write(path, number, header, vecs)
	}
	part := path + ".part"
	if err := write(part, number, header, vecs); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}

func write(path string, number uint64, header []byte, vecs []gradients.Vec) (err error) {
	w, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	size, err := encode(w, number, header, vecs)
	if err != nil {
		return err
	}
	if err := w.Truncate(size); err != nil {
		return err
	}
	return w.Sync()
}

// Load returns the newest intact snapshot; ErrNone if none was ever saved, ErrDamaged if there are files but none is intact.
func (f *Files) Load() (*Snapshot, error) {
	order := f.byNumber()
	var damaged error
	for i, slot := range order {
		s, err := f.read(slot, true)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			damaged = errors.Join(damaged, fmt.Errorf("%s: %w", f.path(slot), err))
			continue
		}
		f.known, f.last, f.slot = true, s.Number, slot
		if s.Damaged = damaged; i == 0 {
			s.Damaged = f.startDamage(order[1])
		}
		return s, nil
	}
	f.known, f.last = true, 0
	if damaged != nil {
		return nil, fmt.Errorf("%w: no intact one is left; start over from a checkpoint: %w", ErrDamaged, damaged)
	}
	return nil, ErrNone
}

// locate finds the newest intact snapshot without keeping its vectors.
func (f *Files) locate() error {
	for _, slot := range f.byNumber() {
		s, err := f.read(slot, false)
		switch {
		case err == nil:
			f.known, f.last, f.slot = true, s.Number, slot
			return nil
		case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrDamaged):
			return fmt.Errorf("snapshot: %w", err)
		}
	}
	f.known = true
	return nil
}

// byNumber orders the two files by the number that they claim, the higher first; an unreadable start claims 0.
func (f *Files) byNumber() [2]int {
	a, _ := f.start(0)
	b, _ := f.start(1)
	if b.number > a.number {
		return [2]int{1, 0}
	}
	return [2]int{0, 1}
}

// startDamage says why the start of a file is unreadable; nil if it is readable, or if there is no such file.
func (f *Files) startDamage(slot int) error {
	if _, err := f.start(slot); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w", f.path(slot), err)
	}
	return nil
}

func (f *Files) start(slot int) (start, error) {
	r, err := os.Open(f.path(slot))
	if err != nil {
		return start{}, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return start{}, err
	}
	return readStart(r, info.Size())
}

func (f *Files) read(slot int, keep bool) (*Snapshot, error) {
	r, err := os.Open(f.path(slot))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return nil, err
	}
	return decode(r, info.Size(), keep)
}
