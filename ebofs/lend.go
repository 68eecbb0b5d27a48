package ebofs

import "runtime/metrics"

// More than half of a store's memory is kept for the heap: the onodes that wait for a
// checkpoint at full load. While there are few of them frames are lent that part. It
// is lent by what the heap has at that moment, for garbage that was not collected
// and memory that was not given back are no use to anybody else, and taken back
// by what the onodes take. See docs/decisions/memory-shares.md.
const (
	lentPercent = 15 // of the memory, at most
	// usedPercent is what the heap and frames have together, at most, when some is lent.
	usedPercent = 85
)

// lend has frames lent what onodes that wait for a checkpoint do not take, and returns
// how many there are. An inline store lends nothing: what it does depends on its calls alone.
func (s *Store) lend() int {
	w := s.dirty.pressure()
	if !s.opt.Inline {
		s.shares.lend(w.inHeap(), s.opt.heapBytes())
	}
	return w.onodes
}

// lend is told from time to time what waits for a checkpoint in the heap and what memory
// that has of the system, and lends frames what that leaves.
func (d *shares) lend(waiting, heap int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	memory := d.step * shareSteps
	d.setLentLocked(min(d.lendable(waiting), memory/100*usedPercent-d.total-heap))
}

// takeBack takes back what onodes that wait by now need. It costs next to nothing while
// that is less than a step. No lock is held: pages go.
func (s *Store) takeBack() {
	if s.shares.lent.Load() > 0 {
		w := s.dirty.pressure()
		s.shares.takeBack(w.inHeap())
	}
}

func (d *shares) takeBack(waiting int64) {
	if d.lent.Load() < d.lendable(waiting)+d.step {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.setLentLocked(min(d.lent.Load(), d.lendable(waiting)))
}

// lendable returns what onodes that wait, and need that much, leave of what is kept for
// them: four times as much is taken back, for the heap grows faster than they, and pages
// that went leave holes in slabs.
func (d *shares) lendable(waiting int64) int64 {
	return max(d.step*shareSteps/100*lentPercent-4*waiting, 0)
}

func (d *shares) setLentLocked(n int64) {
	d.lent.Store(max(n, 0))
	d.divideLocked()
}

// heapBytes returns the memory the Go runtime of this process has of the system.
func heapBytes() int64 {
	m := [...]metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(m[:])
	return int64(m[0].Value.Uint64() - m[1].Value.Uint64())
}
