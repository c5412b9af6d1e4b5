package shards

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// remedy says what to do about shards of this machine.
const remedy = "make them again with `skein data prepare`"

// Open is OpenFrom over a folder that Prepare made. It checks the manifest, and the sizes and headers of all shards; Verify
// checks every byte.
func Open(dir string, o Options) (*Dataset, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if err := m.checkSizes(dir); err != nil {
		return nil, err
	}
	d, err := OpenFrom(m, func(i int) (io.ReaderAt, error) { return os.Open(filepath.Join(dir, m.Shards[i].File)) }, o)
	if err != nil {
		return nil, err
	}
	for i, s := range m.Shards {
		if _, err := d.file(i); err != nil {
			d.Close()
			return nil, fmt.Errorf("open token shard %s: %w; %s", filepath.Join(dir, s.File), err, remedy)
		}
	}
	return d, nil
}

// checkSizes is the cheap look at the shards: they are there and as long as the manifest says.
func (m *Manifest) checkSizes(dir string) error {
	for _, s := range m.Shards {
		info, err := os.Stat(filepath.Join(dir, s.File))
		if err != nil {
			return fmt.Errorf("token shard: %w; %s", err, remedy)
		}
		if info.Size() != s.Bytes {
			return fmt.Errorf("%w: %s has %d bytes, the manifest says %d; %s", ErrCorrupt, filepath.Join(dir, s.File), info.Size(), s.Bytes, remedy)
		}
	}
	return nil
}

// Verify reads every shard in dir and compares its hash with the manifest. progress, unless nil, is told the bytes done
// and in all.
func Verify(ctx context.Context, dir string, progress func(done, total int64)) (*Manifest, error) {
	m, err := ReadManifest(dir)
	if err != nil {
		return nil, err
	}
	if err := m.checkSizes(dir); err != nil {
		return nil, err
	}
	done, total := int64(0), int64(0)
	for _, s := range m.Shards {
		total += s.Bytes
	}
	for _, s := range m.Shards {
		path := filepath.Join(dir, s.File)
		sum, n, err := hashFile(ctx, path)
		if err != nil {
			return nil, err
		}
		if sum != s.SHA256 {
			return nil, fmt.Errorf("%w: %s has the sha256 %s, the manifest says %s; %s", ErrCorrupt, path, sum, s.SHA256, remedy)
		}
		if done += n; progress != nil {
			progress(done, total)
		}
	}
	return m, nil
}
