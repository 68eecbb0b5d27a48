package ebofs

import (
	"iter"
	"maps"
)

// chunks holds something for each of some chunks of an object, by index. Most
// objects have only one chunk, or change only one at a time: that costs no map.
type chunks[T any] struct {
	index uint64
	one   *T            // of index; nil: there is none, or all are in more
	more  map[uint64]*T // nil, or the only place
}

func (c *chunks[T]) len() int {
	if c.one != nil {
		return 1
	}
	return len(c.more)
}

// get returns what chunk k has, or nil.
func (c *chunks[T]) get(k uint64) *T {
	switch {
	case c.one == nil:
		return c.more[k]
	case c.index == k:
		return c.one
	}
	return nil
}

func (c *chunks[T]) set(k uint64, v *T) {
	switch {
	case c.more != nil:
		c.more[k] = v
	case c.one == nil || c.index == k:
		c.index, c.one = k, v
	default:
		c.more = map[uint64]*T{c.index: c.one, k: v}
		c.one = nil
	}
}

// drop forgets chunk k.
func (c *chunks[T]) drop(k uint64) {
	if c.one != nil && c.index == k {
		c.one = nil
	}
	delete(c.more, k)
}

// all goes through them in no order; the one at hand may be set or dropped meanwhile.
func (c *chunks[T]) all() iter.Seq2[uint64, *T] {
	return func(yield func(uint64, *T) bool) {
		if c.one != nil {
			yield(c.index, c.one)
			return
		}
		for k, v := range c.more {
			if !yield(k, v) {
				return
			}
		}
	}
}

// clone returns a copy with the same values.
func (c *chunks[T]) clone() chunks[T] {
	return chunks[T]{c.index, c.one, maps.Clone(c.more)}
}
