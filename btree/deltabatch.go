package btree

import "bytes"

// deltaBatch is a copy of a piece of the deltas, merged: what they say of the
// keys from where the batch began up to end (forward: exclusive; reverse:
// inclusive).
type deltaBatch struct {
	arena []byte
	ents  []batchEntry
	next  int           // entry
	cuts  [2][]batchCut // of either layer, in the order of the walk
	cut   [2]int        // the first that is not behind
	end   []byte
	open  bool // there is no end
	last  bool // nothing follows
}

// batchEntry is the key at arena[key:val] and the value at arena[val:end].
type batchEntry struct {
	key, val, end int
	del           bool
}

// batchCut is the range from arena[lo:hi] to arena[hi:end].
type batchCut struct {
	lo, hi, end int
	open        bool // no end
}

func (b *deltaBatch) reset() {
	b.arena, b.ents, b.end = b.arena[:0], b.ents[:0], b.end[:0]
	b.cuts[0], b.cuts[1] = b.cuts[0][:0], b.cuts[1][:0]
	b.next, b.cut, b.open, b.last = 0, [2]int{}, false, false
}

func (b *deltaBatch) key(i int) []byte { return b.arena[b.ents[i].key:b.ents[i].val] }

func (b *deltaBatch) full() bool { return len(b.ents) >= batchEntries || len(b.arena) >= batchBytes }

func (b *deltaBatch) add(key, val []byte, del bool) {
	e := batchEntry{key: len(b.arena), del: del}
	b.arena = append(b.arena, key...)
	e.val = len(b.arena)
	b.arena = append(b.arena, val...)
	e.end = len(b.arena)
	b.ents = append(b.ents, e)
}

func (b *deltaBatch) addCut(layer int, lo, hi []byte, open bool) {
	c := batchCut{lo: len(b.arena), open: open}
	b.arena = append(b.arena, lo...)
	c.hi = len(b.arena)
	b.arena = append(b.arena, hi...)
	c.end = len(b.arena)
	b.cuts[layer] = append(b.cuts[layer], c)
}

// holds says whether key is in the batch; it is not before its beginning.
func (b *deltaBatch) holds(key []byte, reverse bool) bool {
	if reverse {
		return bytes.Compare(key, b.end) >= 0
	}
	return b.open || bytes.Compare(key, b.end) < 0
}

// mask returns a cleared range that holds key. Keys come in order.
func (b *deltaBatch) mask(key []byte, reverse bool) *batchCut {
	for l := range b.cuts {
		for ; b.cut[l] < len(b.cuts[l]); b.cut[l]++ {
			c := &b.cuts[l][b.cut[l]]
			from := bytes.Compare(b.arena[c.lo:c.hi], key) <= 0
			to := c.open || bytes.Compare(key, b.arena[c.hi:c.end]) < 0
			if from && to {
				return c
			}
			if reverse && to || !reverse && from {
				continue // behind
			}
			break
		}
	}
	return nil
}

// fillForward copies the layers from from on, below hi.
func (b *deltaBatch) fillForward(active, frozen *delta, from, hi []byte) {
	var ac, fc ocursor
	ac.d, fc.d = -1, -1
	if active != nil {
		ac.seek(&active.ents, from)
	}
	if frozen != nil {
		fc.seek(&frozen.ents, from)
	}
	below := func(c *ocursor) bool { return c.valid() && (hi == nil || bytes.Compare(c.key(), hi) < 0) }
	for steps := 0; ; steps++ {
		a, f := below(&ac), below(&fc)
		if !a && !f {
			b.last, b.open = true, hi == nil
			b.end = append(b.end, hi...)
			break
		}
		cmp := -1
		if f {
			if cmp = 1; a {
				cmp = bytes.Compare(ac.key(), fc.key())
			}
		}
		src := &ac
		if cmp > 0 {
			src = &fc
		}
		if b.full() || steps == batchSteps {
			b.end = append(b.end, src.key()...)
			break
		}
		if cmp > 0 && active != nil && !active.cuts.empty() {
			var cut ocursor
			cut.seekLE(&active.cuts, fc.key())
			if cut.valid() {
				if _, end, open := cut.entry(); open {
					fc.d = -1
					continue
				} else if bytes.Compare(fc.key(), end) < 0 {
					fc.seek(&frozen.ents, end)
					continue
				}
			}
		}
		key, val, del := src.entry()
		b.add(key, val, del)
		src.next()
		if cmp == 0 {
			fc.next()
		}
	}
	for l, d := range [2]*delta{active, frozen} {
		if d != nil && !d.cuts.empty() {
			b.cutsForward(l, d, from)
		}
	}
	for n := len(b.ents); n > 0 && !b.holds(b.key(n-1), false); n-- {
		b.ents = b.ents[:n-1]
	}
}

// cutsForward copies the cleared ranges that reach into [from, b.end).
func (b *deltaBatch) cutsForward(layer int, d *delta, from []byte) {
	var c ocursor
	if c.seekLE(&d.cuts, from); !c.valid() {
		c.seek(&d.cuts, from)
	}
	for n := 0; c.valid(); c.next() {
		lo, end, open := c.entry()
		if !open && bytes.Compare(end, from) <= 0 {
			continue
		}
		if !b.holds(lo, false) {
			return
		}
		if n == batchEntries {
			b.last, b.open, b.end = false, false, append(b.end[:0], lo...)
			return
		}
		n++
		b.addCut(layer, lo, end, open)
	}
}

// fillBackward copies the layers below from, down to lo.
func (b *deltaBatch) fillBackward(active, frozen *delta, lo, from []byte) {
	var ac, fc ocursor
	ac.d, fc.d = -1, -1
	if active != nil {
		ac.seekEnd(&active.ents, from)
	}
	if frozen != nil {
		fc.seekEnd(&frozen.ents, from)
	}
	above := func(c *ocursor) bool { return c.valid() && bytes.Compare(c.key(), lo) >= 0 }
	for steps := 0; ; steps++ {
		a, f := above(&ac), above(&fc)
		if !a && !f {
			b.last = true
			b.end = append(b.end, lo...)
			break
		}
		cmp := -1
		if f {
			if cmp = 1; a {
				cmp = -bytes.Compare(ac.key(), fc.key())
			}
		}
		src := &ac
		if cmp > 0 {
			src = &fc
		}
		if b.full() || steps == batchSteps {
			b.end = append(append(b.end, src.key()...), 0)
			break
		}
		if cmp > 0 && active != nil && !active.cuts.empty() {
			var cut ocursor
			cut.seekLE(&active.cuts, fc.key())
			if cut.valid() {
				if start, end, open := cut.entry(); open || bytes.Compare(fc.key(), end) < 0 {
					fc.seekLT(&frozen.ents, start)
					continue
				}
			}
		}
		key, val, del := src.entry()
		b.add(key, val, del)
		src.prev()
		if cmp == 0 {
			fc.prev()
		}
	}
	for l, d := range [2]*delta{active, frozen} {
		if d != nil && !d.cuts.empty() {
			b.cutsBackward(l, d, from)
		}
	}
	for n := len(b.ents); n > 0 && !b.holds(b.key(n-1), true); n-- {
		b.ents = b.ents[:n-1]
	}
}

// seekEnd moves to the last entry below end; a nil end is unbounded.
func (c *ocursor) seekEnd(m *omap, end []byte) {
	if end == nil {
		c.last(m)
		return
	}
	c.seekLT(m, end)
}

// cutsBackward copies the cleared ranges that reach into [b.end, from).
func (b *deltaBatch) cutsBackward(layer int, d *delta, from []byte) {
	var c ocursor
	c.seekEnd(&d.cuts, from)
	for n := 0; c.valid(); c.prev() {
		lo, end, open := c.entry()
		if !open && bytes.Compare(end, b.end) <= 0 {
			return
		}
		if n == batchEntries {
			b.last, b.end = false, append(b.end[:0], end...)
			return
		}
		n++
		b.addCut(layer, lo, end, open)
	}
}
