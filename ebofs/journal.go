package ebofs

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"ebofs/devices"
	"ebofs/internal/invariants"
)

// journals is the memory of journaled bytes: those of one epoch lie together,
// outside the Go heap, and go together.
//
//	keep        while a transaction of the epoch applies
//	hold, drop  a reader that copies them without the object's lock
//	end         the epoch is folded: no object names them any more
//
// Clones and frozen versions share bytes, but of the same epoch only (clone.go),
// so the end of the epoch is the end of all of them but the readers. The memory
// is used again for the next epoch.
type journals struct {
	pool *devices.Pool
	took func(bytes int64) // told what the frames are; negative: given back
	open [2]*journal       // of epoch e in slot e%2, as in dirtyList

	mu    sync.Mutex
	spare []*devices.Frame // at most as many as the last epoch took
}

// journal is the memory of one epoch.
type journal struct {
	all  *journals
	refs atomic.Int32 // one until the epoch is folded, one for each reader

	mu     sync.Mutex
	frames []*devices.Frame
	rest   []byte // of the last frame
}

const (
	// journalFrame is the step in which an epoch takes memory.
	journalFrame = 512 << 10
	// journalMax is the longest run of bytes put there; longer ones, which only
	// very long stripes leave to the log, would waste too much of a frame's end.
	journalMax = lullMin
)

func (all *journals) init(pool *devices.Pool, took func(int64)) { all.pool, all.took = pool, took }

// begin makes epoch ready for use. Slots are changed only while nothing of
// their epoch, or of the one before it in the slot, is in use.
func (all *journals) begin(epoch uint64) {
	j := &journal{all: all}
	j.refs.Store(1)
	all.open[epoch%2] = j
}

// of returns the journal of epoch, which is open or still to be folded.
func (all *journals) of(epoch uint64) *journal { return all.open[epoch%2] }

// end gives back the memory of epoch as soon as the last reader has left it.
func (all *journals) end(epoch uint64) { all.open[epoch%2].drop() }

// keep returns a copy of p. Whole blocks are taken from the front of a frame,
// so that they stay aligned, anything else from its end.
func (j *journal) keep(p []byte) []byte {
	n := len(p)
	if n > journalMax {
		return slices.Clip(bytes.Clone(p))
	}
	j.mu.Lock()
	if n > len(j.rest) {
		f := j.all.frame()
		j.frames = append(j.frames, f)
		j.rest = f.Bytes()
	}
	var q []byte
	if n%blockSize == 0 {
		q, j.rest = j.rest[:n:n], j.rest[n:]
	} else {
		at := len(j.rest) - n
		q, j.rest = j.rest[at:len(j.rest):len(j.rest)], j.rest[:at]
	}
	j.mu.Unlock()
	copy(q, p)
	return q
}

// hold keeps the memory until drop; the caller has an object locked that names
// some of it.
func (j *journal) hold() { j.refs.Add(1) }

func (j *journal) drop() {
	if j.refs.Add(-1) == 0 {
		j.all.retire(j.frames)
	}
}

// frame returns memory for an epoch.
func (all *journals) frame() *devices.Frame {
	all.mu.Lock()
	defer all.mu.Unlock()
	if n := len(all.spare); n > 0 {
		f := all.spare[n-1]
		all.spare = all.spare[:n-1]
		return f
	}
	all.took(journalFrame)
	return all.pool.Get(journalFrame)
}

// retire takes back the memory of an epoch. It is kept for the next one, which
// is likely to take as much; under invariants it is not, so that use after the
// end of an epoch shows.
func (all *journals) retire(frames []*devices.Frame) {
	all.mu.Lock()
	defer all.mu.Unlock()
	most := len(frames)
	if invariants.Enabled {
		most = 0
	}
	all.spare = append(all.spare, frames...)
	all.shrinkLocked(most)
}

// idle gives the spare memory back to the pool.
func (all *journals) idle() {
	all.mu.Lock()
	defer all.mu.Unlock()
	all.shrinkLocked(0)
}

func (all *journals) shrinkLocked(most int) {
	given := 0
	for n := len(all.spare); n > most; n-- {
		all.spare[n-1].Release()
		all.spare[n-1] = nil
		all.spare = all.spare[:n-1]
		given++
	}
	if given > 0 {
		all.took(-int64(given) * journalFrame)
	}
}

// close gives everything back; nobody uses the store any more.
func (all *journals) close() {
	for i, j := range all.open {
		if all.open[i] = nil; j != nil && j.refs.Load() > 0 {
			j.drop()
		}
	}
	all.idle()
}
