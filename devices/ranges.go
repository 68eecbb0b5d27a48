package devices

import "sync"

// ranges is the set of block ranges of the writes in flight. It is a list:
// even deep queues hold few.
type ranges struct {
	mu   sync.Mutex
	list []blockRange
}

type blockRange struct {
	b Block
	n uint64
}

// add puts in [b, b+n) and returns a range already there that overlaps it.
func (r *ranges) add(b Block, n uint64) (at Block, length uint64, overlap bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, x := range r.list {
		if uint64(b) < uint64(x.b)+x.n && uint64(x.b) < uint64(b)+n {
			at, length, overlap = x.b, x.n, true
			break
		}
	}
	r.list = append(r.list, blockRange{b, n})
	return at, length, overlap
}

// remove takes out one range equal to [b, b+n).
func (r *ranges) remove(b Block, n uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, x := range r.list {
		if x.b == b && x.n == n {
			last := len(r.list) - 1
			r.list[i] = r.list[last]
			r.list = r.list[:last]
			return
		}
	}
}
