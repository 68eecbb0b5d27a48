package ebofs

import (
	"sync/atomic"

	"ebofs/ebofs/layout"
)

// trail remembers where the last small writes ended, some of them, and may be wrong
// about one in millions. A write that goes on there is one of a row, and one that
// ends there again is of data that will be overwritten soon: both are better off in the
// log, from where a checkpoint writes rows as one and only what is left of the
// others.
type trail struct {
	slots [trailSlots]atomic.Uint32
}

// trailSlots fit the cache next to a processor, and remember too little to call
// blocks hot that a checkpoint finds overwritten once or not at all.
const trailSlots = 4 << 10

// follows reports whether a write of [off, end) of an object goes on from where an
// earlier one ended, or ends there, and notes its own end.
func (t *trail) follows(key []byte, off, end uint64) bool {
	h := uint64(layout.CRC(key)) << 32
	was := t.has(h, end) || off > 0 && t.has(h, off)
	slot, tag := trailPlace(h, end)
	t.slots[slot].Store(tag)
	return was
}

func (t *trail) has(h, at uint64) bool {
	slot, tag := trailPlace(h, at)
	return t.slots[slot].Load() == tag
}

// trailPlace returns where the trail keeps a byte of an object, and as what.
func trailPlace(h, at uint64) (slot uint64, tag uint32) {
	h = (h ^ at) * 0x9e3779b97f4a7c15
	h ^= h >> 29
	h *= 0xbf58476d1ce4e5b9
	return h >> 32 % trailSlots, uint32(h) | 1
}
