package ops

import (
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/osd"
)

// read returns up to n bytes from off, cut at the object's size.
func (v *view) read(off, n uint64) ([]byte, error) {
	size := v.state.Size
	if off >= size || n == 0 {
		return nil, nil
	}
	n = min(n, size-off)
	p := make([]byte, n)
	if v.below && off < v.visible {
		if _, err := v.env.Store.Read(v.ctx, v.env.Coll, v.from, off, p[:min(n, v.visible-off)]); err != nil {
			return nil, err
		}
	}
	for _, s := range v.data {
		lo, hi := max(s.off, off), min(s.off+s.n, off+n)
		switch {
		case lo >= hi:
		case s.data == nil:
			clear(p[lo-off : hi-off])
		default:
			copy(p[lo-off:hi-off], s.data[lo-s.off:])
		}
	}
	return p, nil
}

// extents lists what within [off, off+n) may hold something else than zeros.
func (v *view) extents(off, n uint64) ([]osd.Extent, error) {
	size := v.state.Size
	if off >= size {
		return nil, nil
	}
	n = min(n, size-off)
	var out []osd.Extent
	if v.below && off < v.visible {
		var err error
		if out, err = v.env.Store.Fiemap(v.ctx, v.env.Coll, v.from, off, min(n, v.visible-off)); err != nil {
			return nil, err
		}
	}
	for _, s := range v.data {
		lo, hi := max(s.off, off), min(s.off+s.n, off+n)
		switch {
		case lo >= hi:
		case s.data == nil:
			out = subtract(out, osd.Extent{Off: lo, Len: hi - lo})
		default:
			out = unite(append(out, osd.Extent{Off: lo, Len: hi - lo}))
		}
	}
	return out, nil
}

// write stores p at off. Nothing written beyond the end extends the object.
func (v *view) write(off uint64, p []byte) error {
	n := uint64(len(p))
	if off > v.env.maxObject() || n > v.env.maxObject()-off {
		return ceph.EFBIG
	}
	v.create()
	v.user, v.changed = true, true
	if n == 0 {
		if off > v.state.Size {
			return v.truncate(off)
		}
		return nil
	}
	if off > v.state.Size {
		v.pend(segment{off: v.state.Size, n: off - v.state.Size})
	}
	v.touch(off, n)
	v.pend(segment{off: off, n: n, data: p})
	v.state.Size = max(v.state.Size, off+n)
	v.txn.Write(v.env.Coll, v.key, off, p)
	return nil
}

// pend remembers bytes that later operations of the request may read.
func (v *view) pend(s segment) { v.data = append(v.data, s) }

// writeFull replaces all content by p.
func (v *view) writeFull(p []byte) error {
	if uint64(len(p)) > v.env.maxObject() {
		return ceph.EFBIG
	}
	v.create()
	v.user, v.changed = true, true
	if uint64(len(p)) < v.state.Size {
		if err := v.truncate(uint64(len(p))); err != nil {
			return err
		}
	}
	if len(p) == 0 {
		return nil
	}
	return v.write(0, p)
}

// truncate cuts or extends an object that exists.
func (v *view) truncate(size uint64) error {
	if size > v.env.maxObject() {
		return ceph.EFBIG
	}
	old := v.state.Size
	v.user, v.changed = true, true
	if size == old {
		return nil
	}
	lo, hi := min(size, old), max(size, old)
	v.touch(lo, hi-lo)
	v.pend(segment{off: lo, n: hi - lo})
	v.visible = min(v.visible, size)
	v.state.Size = size
	v.txn.Truncate(v.env.Coll, v.key, size)
	return nil
}

// zero makes a range read as zeros; one that reaches the end cuts it off.
func (v *view) zero(off, n uint64) error {
	size := v.state.Size
	if !v.exists || off >= size || n == 0 {
		return nil
	}
	if n >= size-off {
		return v.truncate(off)
	}
	v.user, v.changed = true, true
	v.touch(off, n)
	v.pend(segment{off: off, n: n})
	v.txn.Zero(v.env.Coll, v.key, off, n)
	return nil
}

// unite sorts extents and joins those that touch.
func unite(x []osd.Extent) []osd.Extent {
	slices.SortFunc(x, func(a, b osd.Extent) int {
		if a.Off < b.Off {
			return -1
		} else if a.Off > b.Off {
			return 1
		}
		return 0
	})
	out := x[:0]
	for _, e := range x {
		if e.Len == 0 {
			continue
		}
		if k := len(out) - 1; k >= 0 && e.Off <= out[k].Off+out[k].Len {
			out[k].Len = max(out[k].Len, e.Off+e.Len-out[k].Off)
			continue
		}
		out = append(out, e)
	}
	return out
}

// subtract takes cut out of sorted extents.
func subtract(x []osd.Extent, cut osd.Extent) []osd.Extent {
	out := make([]osd.Extent, 0, len(x)+1)
	lo, hi := cut.Off, cut.Off+cut.Len
	for _, e := range x {
		end := e.Off + e.Len
		if e.Off < lo {
			out = append(out, osd.Extent{Off: e.Off, Len: min(end, lo) - e.Off})
		}
		if end > hi {
			from := max(e.Off, hi)
			out = append(out, osd.Extent{Off: from, Len: end - from})
		}
	}
	return out
}
