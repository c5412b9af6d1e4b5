package ipfs

import (
	"context"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	format "github.com/ipfs/go-ipld-format"
)

// Folders that are being fetched are listed on disk, so that Collect leaves alone what is here of them, also after a
// crash. Pin and Unpin take a folder off the list.

const partialPrefix = "/partial"

func partialKey(c cid.Cid) datastore.Key {
	return datastore.NewKey(partialPrefix).ChildString(c.String())
}

// hold puts a folder on the list.
func (s *Store) hold(ctx context.Context, c cid.Cid) error {
	k := partialKey(c)
	if err := s.data.Put(ctx, k, []byte{}); err != nil {
		return explain(err)
	}
	return explain(s.data.Sync(ctx, k))
}

// release takes a folder off the list.
func (s *Store) release(ctx context.Context, c cid.Cid) error {
	return explain(s.data.Delete(ctx, partialKey(c)))
}

// Partials lists the folders that Fetch began and nobody has pinned or unpinned since.
func (s *Store) Partials(ctx context.Context) ([]string, error) {
	held, err := s.partials(ctx)
	var out []string
	for _, c := range held {
		out = append(out, c.String())
	}
	return out, err
}

func (s *Store) partials(ctx context.Context) ([]cid.Cid, error) {
	found, err := s.data.Query(ctx, query.Query{Prefix: partialPrefix, KeysOnly: true})
	if err != nil {
		return nil, fmt.Errorf("partial folders: %w", err)
	}
	all, err := found.Rest()
	if err != nil {
		return nil, fmt.Errorf("partial folders: %w", err)
	}
	var out []cid.Cid
	for _, e := range all {
		c, err := parseCID(datastore.RawKey(e.Key).Name())
		if err != nil {
			return nil, fmt.Errorf("partial folders: %w", err)
		}
		out = append(out, c)
	}
	return out, nil
}

// branchesSoFar is branches where some of them may be missing.
func (s *folders) branchesSoFar(ctx context.Context, c cid.Cid) ([]*format.Link, error) {
	if here, err := s.local.Has(ctx, c); err != nil || !here {
		return nil, err
	}
	return s.branches(ctx, c)
}
