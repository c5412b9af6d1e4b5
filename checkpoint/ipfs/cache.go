package ipfs

import (
	"context"
	"sync"

	"github.com/ipfs/go-cid"
)

// nodeCache keeps the blocks that were read last, checked and understood, for readers that come back to them.
type nodeCache struct {
	limit int64 // bytes

	mu    sync.Mutex
	nodes *recency[cid.Cid, node]
}

func newNodeCache(limit int64) *nodeCache {
	return &nodeCache{limit: limit, nodes: newRecency[cid.Cid, node]()}
}

func (n node) cost() int64 { return int64(len(n.data)) + 64*int64(len(n.links)) + 256 }

func (c *nodeCache) get(id cid.Cid) (node, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes.get(id)
}

func (c *nodeCache) add(id cid.Cid, n node) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes.add(id, n, n.cost())
	for c.nodes.used > c.limit {
		old, _, _ := c.nodes.oldest()
		c.nodes.remove(old)
	}
}

// cached is node by way of the cache.
func (s *folders) cached(ctx context.Context, c cid.Cid) (node, error) {
	if n, ok := s.nodes.get(c); ok {
		return n, nil
	}
	n, err := s.node(ctx, c)
	if err == nil {
		s.nodes.add(c, n)
	}
	return n, err
}
