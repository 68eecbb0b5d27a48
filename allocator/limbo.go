package allocator

import (
	"cmp"
	"fmt"
	"slices"

	"ebofs/internal/planted"
)

// limboGroup names the zones that have limbo of one epoch.
type limboGroup struct {
	epoch  uint64
	zones  []int32 // each once, unordered
	blocks uint64
}

// epochRuns is the limbo of one epoch in one zone, in the order of freeing;
// an element is lo<<32 | n, so that sorting the numbers sorts the runs.
type epochRuns struct {
	epoch uint64
	runs  []uint64
}

func packRun(lo, n uint32) uint64            { return uint64(lo)<<32 | uint64(n) }
func unpackRun(r uint64) (lo, n uint32)      { return uint32(r >> 32), uint32(r) }
func epochCmp(l limboGroup, e uint64) int    { return cmp.Compare(l.epoch, e) }
func epochRunsCmp(l epochRuns, e uint64) int { return cmp.Compare(l.epoch, e) }

// Free puts e into the limbo of epoch: the checkpoint of that epoch is the
// first whose durable root does not reach e. It works on zones that are not
// loaded. All of e must be used (else ErrNotUsed; of a zone that is not loaded
// only what was freed since is known, the rest shows in Load), and epoch must
// not be durable yet (else ErrDurable).
func (a *Allocator) Free(e Extent, epoch uint64) error {
	if !a.inZones(e) {
		return a.outside("free", e)
	}
	if planted.On(planted.AllocLimbo) {
		return a.Release(e)
	}
	if epoch <= a.durable {
		return fmt.Errorf("free %v in epoch %d, durable is %d: %w", e, epoch, a.durable, ErrDurable)
	}
	if i, lo, n, b := a.inLoaded(e); b != nil && b.isUsed(lo, n) { // the usual case, in one go
		a.toLimbo(i, b, lo, n, epoch)
		return nil
	}
	if !a.isUsed(e) {
		return fmt.Errorf("free %v in epoch %d: %v: %w", e, epoch, a.stateOf(e), ErrNotUsed)
	}
	for rest := e; rest.Blocks > 0; {
		var i int
		var lo, n uint32
		i, lo, n, rest = a.cut(rest)
		a.toLimbo(i, a.bodyOf(i), lo, n, epoch)
	}
	return nil
}

// toLimbo puts used blocks of zone i, loaded or not, into limbo.
func (a *Allocator) toLimbo(i int, b *zoneBody, lo, n uint32, epoch uint64) {
	if b.bits != nil {
		b.limbo.makeDense(len(b.bits))
	}
	b.limbo.add(lo, n, wordsFor(b.blocks))
	a.listRun(i, b, epoch, lo, n)
	a.limbo += uint64(n)
	a.touch(b)
}

// listRun notes limbo of an epoch in zone i.
func (a *Allocator) listRun(i int, b *zoneBody, epoch uint64, lo, n uint32) {
	g := a.group(epoch)
	g.blocks += uint64(n)
	k := len(b.lists) - 1
	if k < 0 || b.lists[k].epoch != epoch {
		var found bool
		if k, found = slices.BinarySearchFunc(b.lists, epoch, epochRunsCmp); !found {
			b.lists = slices.Insert(b.lists, k, epochRuns{epoch: epoch})
			g.zones = append(g.zones, int32(i))
		}
	}
	l := &b.lists[k]
	if m := len(l.runs); m > 0 {
		if lastLo, lastN := unpackRun(l.runs[m-1]); lastLo+lastN == lo {
			l.runs[m-1] = packRun(lastLo, lastN+n)
			return
		}
	}
	l.runs = append(l.runs, packRun(lo, n))
}

// group returns the limbo group of an epoch; valid until the next call.
func (a *Allocator) group(epoch uint64) *limboGroup {
	if k := len(a.groups) - 1; k >= 0 && a.groups[k].epoch == epoch {
		return &a.groups[k]
	}
	k, found := slices.BinarySearchFunc(a.groups, epoch, epochCmp)
	if !found {
		a.groups = slices.Insert(a.groups, k, limboGroup{epoch: epoch})
	}
	return &a.groups[k]
}

// LimboOf returns the blocks in limbo of the epochs after one up to another.
func (a *Allocator) LimboOf(after, upTo uint64) (blocks uint64) {
	for _, g := range a.groups {
		if g.epoch > after && g.epoch <= upTo {
			blocks += g.blocks
		}
	}
	return blocks
}

// Durable says that the checkpoint of epoch, and so every earlier one, is
// durable: their limbo becomes free. It returns what was released, sorted and
// merged, for the caller to discard.
func (a *Allocator) Durable(epoch uint64) []Extent {
	if epoch <= a.durable {
		return nil
	}
	a.durable = epoch
	var zones []int32
	for len(a.groups) > 0 && a.groups[0].epoch <= epoch {
		zones = append(zones, a.groups[0].zones...)
		a.groups = slices.Delete(a.groups, 0, 1)
	}
	slices.Sort(zones)
	var out []Extent
	for _, i := range slices.Compact(zones) {
		out = a.releaseZone(int(i), epoch, out)
	}
	return out
}

// releaseZone frees the limbo of zone i up to epoch and appends it to out.
func (a *Allocator) releaseZone(i int, epoch uint64, out []Extent) []Extent {
	b := a.zones[i].body
	var runs []uint64
	for len(b.lists) > 0 && b.lists[0].epoch <= epoch {
		if runs == nil {
			runs = b.lists[0].runs
		} else {
			runs = append(runs, b.lists[0].runs...)
		}
		b.lists = slices.Delete(b.lists, 0, 1)
	}
	slices.Sort(runs)
	for _, r := range runs {
		lo, n := unpackRun(r)
		b.limbo.remove(lo, n)
		a.limbo -= uint64(n)
		a.makeFree(i, b, lo, n)
		out = appendExtent(out, a.extent(i, lo, n))
	}
	return out
}

// makeFree makes blocks of zone i free, loaded or not.
func (a *Allocator) makeFree(i int, b *zoneBody, lo, n uint32) {
	if b.bits != nil {
		a.setFree(i, b, lo, n)
		return
	}
	z := &a.zones[i]
	b.marked.remove(lo, n)
	b.released.add(lo, n, wordsFor(b.blocks))
	z.free += n
	a.free += uint64(n)
	// Only stripes that lie in the range as a whole are known to be free now.
	if from, m := b.clip(lo, n); m > 0 {
		s := a.cfg.StripeBlocks
		if first, end := (from-a.lead+s-1)/s, (from+m-a.lead)/s; first < end {
			z.freeStripes += end - first
			a.freeStripes += uint64(end - first)
		}
	}
}

// Release makes e free at once. It is for blocks no durable root and no log
// record ever named: those of a refused transaction.
func (a *Allocator) Release(e Extent) error {
	if !a.inZones(e) {
		return a.outside("release", e)
	}
	if i, lo, n, b := a.inLoaded(e); b != nil && b.isUsed(lo, n) { // the usual case, in one go
		a.setFree(i, b, lo, n)
		a.touch(b)
		return nil
	}
	if !a.isUsed(e) {
		return fmt.Errorf("release %v: %v: %w", e, a.stateOf(e), ErrNotUsed)
	}
	a.release(e)
	return nil
}

// release makes used blocks free.
func (a *Allocator) release(e Extent) {
	for e.Blocks > 0 {
		var i int
		var lo, n uint32
		i, lo, n, e = a.cut(e)
		b := a.bodyOf(i)
		a.makeFree(i, b, lo, n)
		a.touch(b)
	}
}

// isUsed reports whether no block of e is known to be free or in limbo.
func (a *Allocator) isUsed(e Extent) bool {
	for e.Blocks > 0 {
		var i int
		var lo, n uint32
		i, lo, n, e = a.cut(e)
		if !a.isUsedIn(i, lo, n) {
			return false
		}
	}
	return true
}

// isUsedIn is isUsed for blocks of zone i.
func (a *Allocator) isUsedIn(i int, lo, n uint32) bool {
	z := &a.zones[i]
	b := z.body
	if b == nil {
		return n <= a.zoneBlocks(i)-z.free
	}
	if b.bits != nil {
		return b.isUsed(lo, n)
	}
	return n <= b.blocks-z.free-b.limbo.count && !b.limbo.overlaps(lo, n) && !b.released.overlaps(lo, n)
}

// isUsed reports whether blocks of a loaded zone are all used.
func (b *zoneBody) isUsed(lo, n uint32) bool {
	return allSet(b.bits, lo, n) && (b.limbo.count == 0 || !b.limbo.overlaps(lo, n))
}

// inLoaded returns the zone e lies in and where in it, with the body of the
// zone if it is loaded and all of e is in it, else nil.
func (a *Allocator) inLoaded(e Extent) (i int, lo, n uint32, b *zoneBody) {
	i, lo, n, rest := a.cut(e)
	if rest.Blocks == 0 {
		b = a.loadedBody(i)
	}
	return i, lo, n, b
}

// stateOf says for an error which part of e is not used.
func (a *Allocator) stateOf(e Extent) string {
	for e.Blocks > 0 {
		var i int
		var lo, n uint32
		i, lo, n, e = a.cut(e)
		if b := a.zones[i].body; b != nil && b.limbo.overlaps(lo, n) {
			return fmt.Sprintf("%v is in limbo in part", a.extent(i, lo, n))
		}
		if !a.isUsedIn(i, lo, n) {
			return fmt.Sprintf("%v is free in part", a.extent(i, lo, n))
		}
	}
	return "used"
}

// MarkUsed takes e out of the free space: an extent a log record names, or
// blocks the root record names itself. Blocks that are used or in limbo already
// are ErrUsed; in a zone that is not loaded they show in Load.
func (a *Allocator) MarkUsed(e Extent) error {
	if !a.inZones(e) {
		return a.outside("mark used", e)
	}
	for rest := e; rest.Blocks > 0; {
		var i int
		var lo, n uint32
		i, lo, n, rest = a.cut(rest)
		z := &a.zones[i]
		b := z.body
		if n > z.free || b != nil && (b.bits != nil && !allClear(b.bits, lo, n) ||
			b.marked.overlaps(lo, n) || b.limbo.overlaps(lo, n)) {
			return fmt.Errorf("mark used %v: %v is not all free: %w", e, a.extent(i, lo, n), ErrUsed)
		}
	}
	for rest := e; rest.Blocks > 0; {
		var i int
		var lo, n uint32
		i, lo, n, rest = a.cut(rest)
		a.markUsed(i, lo, n)
	}
	return nil
}

// markUsed takes free blocks of zone i, loaded or not.
func (a *Allocator) markUsed(i int, lo, n uint32) {
	if b, err := a.ensure(i); err == nil {
		a.setUsed(i, b, lo, n)
		return
	}
	b, z := a.bodyOf(i), &a.zones[i]
	b.released.remove(lo, n)
	b.marked.add(lo, n, wordsFor(b.blocks))
	z.free -= n
	a.free -= uint64(n)
	// Every stripe touched may have been free; all of them are not any more.
	if from, m := b.clip(lo, n); m > 0 {
		s := a.cfg.StripeBlocks
		touched := (from+m-1-a.lead)/s - (from-a.lead)/s + 1
		touched = min(touched, z.freeStripes)
		z.freeStripes -= touched
		a.freeStripes -= uint64(touched)
	}
	a.touch(b)
}

// limboOf returns the limbo of a group, sorted and merged.
func (a *Allocator) limboOf(g limboGroup) []Extent {
	zones := slices.Sorted(slices.Values(g.zones))
	var out []Extent
	for _, i := range zones {
		b := a.zones[i].body
		k, _ := slices.BinarySearchFunc(b.lists, g.epoch, epochRunsCmp)
		for _, r := range slices.Sorted(slices.Values(b.lists[k].runs)) {
			lo, n := unpackRun(r)
			out = appendExtent(out, a.extent(int(i), lo, n))
		}
	}
	return out
}
