package memstore

import (
	"maps"
	"slices"

	"ebofs/osd"
)

// pageBytes is the unit of data held; what Fiemap reports is made of them.
const pageBytes = 4096

// object is all of one object. See I1 to I3 in doc.go.
type object struct {
	size  uint64
	pages map[uint64]*[pageBytes]byte // by offset / pageBytes; absent: zeros
	own   map[uint64]bool             // pages this view allocated and may change

	attrs  map[string][]byte
	omap   map[string][]byte
	header []byte
}

func newObject() *object {
	return &object{
		pages: map[uint64]*[pageBytes]byte{},
		attrs: map[string][]byte{},
		omap:  map[string][]byte{},
	}
}

// copy returns an object that can be changed without changing o.
func (o *object) copy() *object {
	return &object{
		size:   o.size,
		pages:  maps.Clone(o.pages),
		attrs:  maps.Clone(o.attrs),
		omap:   maps.Clone(o.omap),
		header: o.header,
	}
}

// bytes is what o counts against a capacity.
func (o *object) bytes() uint64 {
	n := uint64(len(o.pages))*pageBytes + uint64(len(o.header))
	for k, v := range o.attrs {
		n += uint64(len(k) + len(v))
	}
	for k, v := range o.omap {
		n += uint64(len(k) + len(v))
	}
	return n
}

// page returns page i for changing.
func (o *object) page(i uint64) *[pageBytes]byte {
	if !o.own[i] {
		p := new([pageBytes]byte)
		if old := o.pages[i]; old != nil {
			*p = *old
		}
		o.pages[i] = p
		if o.own == nil {
			o.own = map[uint64]bool{}
		}
		o.own[i] = true
	}
	return o.pages[i]
}

func (o *object) write(off uint64, data []byte) {
	for len(data) > 0 {
		n := copy(o.page(off / pageBytes)[off%pageBytes:], data)
		data = data[n:]
		off += uint64(n)
		o.size = max(o.size, off)
	}
}

func (o *object) zero(off, n uint64) {
	if n == 0 {
		return
	}
	end := off + n
	for i := range o.pages {
		start := i * pageBytes
		switch {
		case start+pageBytes <= off || start >= end:
		case start >= off && start+pageBytes <= end:
			delete(o.pages, i)
			delete(o.own, i)
		default:
			from, to := max(start, off)-start, min(start+pageBytes, end)-start
			clear(o.page(i)[from:to])
		}
	}
	o.size = max(o.size, end)
}

func (o *object) truncate(size uint64) {
	if size < o.size {
		o.zero(size, o.size-size)
	}
	o.size = size
}

func (o *object) read(off uint64, p []byte) int {
	if off >= o.size {
		return 0
	}
	n := int(min(uint64(len(p)), o.size-off))
	p = p[:n]
	for len(p) > 0 {
		at := off % pageBytes
		m := min(len(p), int(pageBytes-at))
		if page := o.pages[off/pageBytes]; page != nil {
			copy(p[:m], page[at:])
		} else {
			clear(p[:m])
		}
		p = p[m:]
		off += uint64(m)
	}
	return n
}

func (o *object) extents(off, n uint64) []osd.Extent {
	end := o.size
	if off < end && n < end-off {
		end = off + n
	}
	var es []osd.Extent
	for _, i := range slices.Sorted(maps.Keys(o.pages)) {
		from, to := max(i*pageBytes, off), min((i+1)*pageBytes, end)
		if from >= to {
			continue
		}
		if k := len(es) - 1; k >= 0 && es[k].Off+es[k].Len == from {
			es[k].Len += to - from
		} else {
			es = append(es, osd.Extent{Off: from, Len: to - from})
		}
	}
	return es
}

// keys returns those of the omap in [first, last), sorted.
func (o *object) keys(first, last string) []string {
	var ks []string
	for k := range o.omap {
		if k >= first && (last == "" || k < last) {
			ks = append(ks, k)
		}
	}
	slices.Sort(ks)
	return ks
}
