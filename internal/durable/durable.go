// Package durable writes files whole or not at all: whoever opens one sees the old content or the new, never a part.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// Sync says what a file that has been written survives. Each level includes those before it.
type Sync int

const (
	Crash   Sync = iota // the end of the program; after a power cut the file may be empty, so its reader must check it
	Content             // a power cut, once the folder is synced, too: one SyncDir makes the names of many files safe
	Name                // a power cut, from the return of WriteFile on
)

// WriteFile puts the parts, one behind the other, in the place of the file at path, as one step. The new file has exactly
// the permissions mode. The folder must exist. Several callers may write the same file at once: one of them is the last.
//
// On an error nothing is left beside the file, and the file is as it was (or, if only the sync of its folder failed, new).
// A program that is killed meanwhile leaves a file for which IsTemp holds; who owns the folder removes it.
func WriteFile(path string, mode fs.FileMode, sync Sync, parts ...[]byte) error {
	err := replace(path, mode, sync, parts)
	if err == nil && sync >= Name {
		err = SyncDir(filepath.Dir(path))
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func replace(path string, mode fs.FileMode, sync Sync, parts [][]byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), tempPrefix+filepath.Base(path)+".*"+tempSuffix)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	if err = errors.Join(fill(f, mode, sync, parts), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path) // replaces a file on every system that Go runs on
}

func fill(f *os.File, mode fs.FileMode, sync Sync, parts [][]byte) error {
	for _, p := range parts {
		if _, err := f.Write(p); err != nil {
			return err
		}
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if sync >= Content {
		return f.Sync()
	}
	return nil
}

const tempPrefix, tempSuffix = ".", ".tmp"

// IsTemp tells whether a file of that name, without its folder, is one that WriteFile had not finished.
func IsTemp(name string) bool {
	return strings.HasPrefix(name, tempPrefix) && strings.HasSuffix(name, tempSuffix)
}

// SyncDir makes the names in a folder survive a power cut. Windows has no such call for folders and needs none.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
