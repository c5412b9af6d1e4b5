package ipfs

import "container/list"

// recency keeps sized values in the order of their last use. It is not safe for concurrent use.
type recency[K comparable, V any] struct {
	used  int64 // bytes
	order *list.List
	at    map[K]*list.Element
}

type used[K comparable, V any] struct {
	key   K
	value V
	size  int64
}

func newRecency[K comparable, V any]() *recency[K, V] {
	return &recency[K, V]{order: list.New(), at: map[K]*list.Element{}}
}

// add makes a value the one used last.
func (r *recency[K, V]) add(k K, v V, size int64) {
	r.remove(k)
	r.at[k] = r.order.PushFront(used[K, V]{k, v, size})
	r.used += size
}

// get finds a value, which becomes the one used last.
func (r *recency[K, V]) get(k K) (v V, ok bool) {
	e := r.at[k]
	if e == nil {
		return v, false
	}
	r.order.MoveToFront(e)
	return e.Value.(used[K, V]).value, true
}

// remove reports whether the value was there.
func (r *recency[K, V]) remove(k K) bool {
	e := r.at[k]
	if e == nil {
		return false
	}
	delete(r.at, k)
	r.used -= r.order.Remove(e).(used[K, V]).size
	return true
}

// oldest is the value that was not used for the longest time.
func (r *recency[K, V]) oldest() (k K, size int64, ok bool) {
	e := r.order.Back()
	if e == nil {
		return k, 0, false
	}
	u := e.Value.(used[K, V])
	return u.key, u.size, true
}
