package ebofs

import (
	"sync"
	"sync/atomic"

	"ebofs/btree"
	"ebofs/ebofs/datacache"
)

// shares divides the memory of frames between those who keep something there:
// what one does not use is another's. See docs/decisions/memory-shares.md.
//
//	dirty data   what it needs; admission bounds it
//	object data  between least and most, moved in steps
//	pages        the rest
//
// After each step of misses one that is full gets a step of the other, if a
// byte of it was used more often since, or the other has it to spare. What counts
// as a use of a page is a leaf found in the cache.
//
// While few onodes wait for a checkpoint frames have what is kept for these as well, as
// far as the heap has not grown into it: lend.
type shares struct {
	pages *btree.Cache
	data  *datacache.Cache

	total       int64 // constant, as are the next four
	floor       int64 // of pages
	step        int64
	least, most int64 // of object data

	missed atomic.Int64 // bytes read into either since the last look
	lent   atomic.Int64 // what frames have beyond total; changes with mu held

	mu        sync.Mutex
	dirty     int64 // frames of journals
	object    int64 // budget of object data
	lastPages btree.CacheStats
	lastData  datacache.Stats
}

const (
	// framesPercent of the memory of a store is for frames while dirty data leaves
	// that: onodes and the rest of the heap take as much at full load, and slabs that are
	// used in part what is left.
	framesPercent = 40
	pagesPercent  = 25                           // at least
	dataPercent   = framesPercent - pagesPercent // at most
	dirtyPercent  = 20
	// Less would not hold what is read ahead.
	leastDataPercent = 4
	shareSteps       = 64 // of a store's memory
)

// init divides the part of m bytes that is for frames.
func (d *shares) init(m int64, pages *btree.Cache, data *datacache.Cache) {
	d.pages, d.data = pages, data
	d.total, d.floor, d.step = m/100*framesPercent, m/100*pagesPercent, m/shareSteps
	d.least, d.most = m/100*leastDataPercent, m/100*dataPercent
	d.object = d.most
	d.divideLocked() // nobody else knows of it yet
}

// take is told of n more bytes of dirty data, negative if they are given back.
func (d *shares) take(n int64) {
	d.mu.Lock()
	d.dirty += n
	d.divideLocked()
	d.mu.Unlock()
}

// dataBudget returns what object data may take now.
func (d *shares) dataBudget() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.object
}

// read is told of n bytes that one of the caches did not have. No lock is held.
func (d *shares) read(n int) {
	if d.missed.Add(int64(n)) >= d.step && d.mu.TryLock() {
		d.missed.Store(0)
		d.lookLocked()
		d.mu.Unlock()
	}
}

// lookLocked moves a step if one side has more use of it.
func (d *shares) lookLocked() {
	p, o := d.pages.Stats(), d.data.Stats()
	pageUse := rate(p.LeafHits-d.lastPages.LeafHits, p.Bytes)
	dataUse := rate(o.Hits-d.lastData.Hits, o.Bytes)
	pagesFull, dataFull := p.Evicted > d.lastPages.Evicted, o.Evictions+o.Refused > d.lastData.Evictions+d.lastData.Refused
	d.lastPages, d.lastData = p, o
	switch {
	case pagesFull && (pageUse > dataUse || o.Bytes+d.step <= d.object):
		d.object = max(d.object-d.step, d.least)
	case dataFull && (dataUse > pageUse || p.Bytes+d.step <= d.leftLocked()):
		d.object = min(d.object+d.step, d.most)
	default:
		return
	}
	d.movedLocked()
}

// pagesBudget returns what pages may take now.
func (d *shares) pagesBudget() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.leftLocked()
}

// spare gives pages, for whom had is not enough, a step more of what object data has no
// use of so far, and reports whether they have more than that now.
func (d *shares) spare(had int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.leftLocked() > had {
		return true
	}
	left := d.total + d.lent.Load() - d.dirty
	object := max(left-had-d.step, d.least, d.data.Stats().Bytes)
	if left-object <= had {
		return false
	}
	d.object = object
	d.movedLocked()
	return true
}

func (d *shares) movedLocked() {
	d.data.SetBudget(d.object)
	d.divideLocked()
}

func rate(uses uint64, bytes int64) float64 { return float64(uses) / float64(max(bytes, 1)) }

// leftLocked returns the budget of pages: what the others leave.
func (d *shares) leftLocked() int64 {
	return max(d.total+d.lent.Load()-d.object-d.dirty, d.floor)
}

func (d *shares) divideLocked() { d.pages.SetBudget(d.leftLocked()) }
