package checkpoint

import (
	"context"
	"errors"
	"io"
	"io/fs"
)

// Errors of a Store, wrapped with the details.
var (
	ErrNotFound = errors.New("not in the store")          // a block is absent, and no exchange brought it
	ErrCorrupt  = errors.New("does not match its CID")    // a block's bytes were changed, on disk or by a sender
	ErrRefused  = errors.New("not a checkpoint's folder") // a DAG of a kind that no checkpoint has
	ErrDiskFull = errors.New("disk full")                 // nothing that was pinned before is lost
	ErrInUse    = errors.New("store in use by another process")
)

// File is one file of a folder that is added: a slash-separated path and its bytes.
type File struct {
	Path string
	Data io.Reader
}

// Pin protects a folder from Collect.
type Pin struct{ CID, Name string }

// Usage counts blocks and their bytes.
type Usage struct {
	Blocks int
	Bytes  int64
}

// Source hands out folders by their CID. Its methods may be called from any goroutine.
type Source interface {
	// Open returns the folder as a file system; it lives as long as ctx. Every block is checked against its CID before
	// its bytes are handed out, and names and sizes are those of a checkpoint's folder, or the error wraps ErrRefused.
	Open(ctx context.Context, cid string) (fs.FS, error)
	// Verify reads every block of the folder once and checks it against its CID.
	Verify(ctx context.Context, cid string) (Usage, error)
}

// Store keeps folders on this machine. One process has it open at a time.
type Store interface {
	Source
	// Add stores the files as a folder and pins it under the name. Equal files give equal CIDs, those of
	// `ipfs add -r --cid-version=1 --raw-leaves`. If it fails, what it stored so far is left to Collect.
	Add(ctx context.Context, name string, files []File) (cid string, err error)
	// Pin fetches what is missing, if the store has an exchange, and protects the folder. A folder that is already
	// pinned keeps its name.
	Pin(ctx context.Context, cid, name string) error
	// Unpin leaves the folder to Collect. It is no error if it is not pinned.
	Unpin(ctx context.Context, cid string) error
	// Pins lists the pins by name.
	Pins(ctx context.Context) ([]Pin, error)
	// Collect deletes every block that belongs to no pinned folder, and counts them.
	Collect(ctx context.Context) (Usage, error)
	// Usage counts what the store holds.
	Usage(ctx context.Context) (Usage, error)
	Close() error
}
