package btree

import (
	"bytes"

	"ebofs/internal/planted"
)

// delta is what changed since the pages below were written: entries, and ranges
// cleared before those entries were put. A lookup asks entries first, then
// ranges; only what neither knows is asked below.
type delta struct {
	ents omap     // key → value or deletion
	cuts omap     // lowest key → end of a cleared range (a deletion: no end); disjoint, never touching
	lost [][]byte // keys of changes that cannot be made, see Tree.LoseFrozen
	// touched are keys whose nodes are written anew though nothing changes there.
	touched [][]byte
	late    *late // see Tree.AppendFrozen; nil: nothing
}

// verdict is what a layer says of a key.
type verdict uint8

const (
	unknown verdict = iota // ask below
	present
	absent
)

func (d *delta) empty() bool {
	return d == nil || d.ents.empty() && d.cuts.empty() && d.late == nil && len(d.touched) == 0
}

func (d *delta) bytes() int {
	if d == nil {
		return 0
	}
	n := d.ents.bytes() + d.cuts.bytes()
	if d.late != nil {
		n += d.late.size
	}
	return n
}

// clone returns a second delta with the same contents, in O(1).
func (d *delta) clone() *delta {
	if d.empty() {
		return nil
	}
	return &delta{ents: d.ents.clone(), cuts: d.cuts.clone()}
}

// get looks key up; val is valid until the delta changes.
func (d *delta) get(key []byte) (val []byte, v verdict) {
	if d == nil {
		return nil, unknown
	}
	if val, del, ok := d.ents.get(key); ok {
		if del {
			return nil, absent
		}
		return val, present
	}
	if !d.cuts.empty() && d.cleared(key) {
		return nil, absent
	}
	return nil, unknown
}

// getAll is get with what was added late, as Reconcile sees it.
func (d *delta) getAll(key []byte) (val []byte, v verdict) {
	if d == nil || d.late == nil {
		return d.get(key)
	}
	val, del, ok := d.ents.get(key)
	if ok && (del || len(val) > 0) {
		return d.get(key)
	}
	if val, ok := d.late.get(key); ok {
		return val, present
	}
	return d.get(key)
}

// cleared says whether a cleared range holds key.
func (d *delta) cleared(key []byte) bool {
	var c ocursor
	c.seekLE(&d.cuts, key)
	if !c.valid() {
		return false
	}
	_, end, open := c.entry()
	return open || bytes.Compare(key, end) < 0
}

// del records that key is gone.
func (d *delta) del(key []byte) {
	if !d.cuts.empty() && d.cleared(key) {
		d.ents.remove(key)
		return
	}
	d.ents.put(key, nil, true)
}

// delRange records that every key in [lo, hi) is gone; a nil hi is unbounded.
func (d *delta) delRange(lo, hi []byte) {
	if planted.On(planted.RangeShort) && len(lo) > 0 {
		lo = append(append([]byte(nil), lo...), 0)
	}
	d.ents.removeRange(lo, hi)
	// Swallow every range that overlaps or touches the new one.
	lo = append(make([]byte, 0, 64), lo...)
	if hi != nil {
		hi = append(make([]byte, 0, 64), hi...)
	}
	var c ocursor
	if c.seekLE(&d.cuts, lo); c.valid() {
		start, end, open := c.entry()
		if open || bytes.Compare(end, lo) >= 0 {
			lo = append(lo[:0], start...)
			if open {
				hi = nil
			} else if hi != nil && bytes.Compare(end, hi) > 0 {
				hi = append(hi[:0], end...)
			}
		}
	}
	if hi == nil {
		d.cuts.removeRange(lo, nil)
		d.cuts.put(lo, nil, true)
		return
	}
	if c.seekLE(&d.cuts, hi); c.valid() {
		switch _, end, open := c.entry(); {
		case open:
			hi = nil
		case bytes.Compare(end, hi) > 0:
			hi = append(hi[:0], end...)
		}
	}
	if hi == nil {
		d.cuts.removeRange(lo, nil)
		d.cuts.put(lo, nil, true)
		return
	}
	d.cuts.removeRange(lo, append(hi, 0)) // hi itself too: a range that begins there touches
	d.cuts.put(lo, hi, false)
}
