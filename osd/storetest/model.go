package storetest

import (
	"maps"
	"slices"
	"unicode/utf8"

	"ebofs/osd"
)

// model is what a store is to hold. Because a transaction can fail only by what
// exists, check finds its outcome first and apply then cannot fail: no undoing.
type model struct {
	colls map[osd.CollectionID]osd.CollectionSpec
	objs  map[osd.ObjectID]*mobject // of all collections
}

type mobject struct {
	data   []byte
	attrs  map[string][]byte
	omap   map[string][]byte
	header []byte
}

func newModel() *model {
	return &model{
		colls: map[osd.CollectionID]osd.CollectionSpec{},
		objs:  map[osd.ObjectID]*mobject{},
	}
}

func newMobject() *mobject {
	return &mobject{attrs: map[string][]byte{}, omap: map[string][]byte{}}
}

// creates says whether an operation makes a missing object.
func creates(k osd.OpKind) bool {
	switch k {
	case osd.OpTouch, osd.OpWrite, osd.OpZero, osd.OpSetAttrs, osd.OpOmapSet, osd.OpOmapSetHeader, osd.OpSetAllocHint:
		return true
	}
	return false
}

// collOf returns the collection that holds o.
func (m *model) collOf(o osd.ObjectID) (osd.CollectionID, bool) {
	for c, s := range m.colls {
		if s.Contains(o) {
			return c, true
		}
	}
	return "", false
}

// ids returns the objects of c in order.
func (m *model) ids(c osd.CollectionID) []osd.ObjectID {
	s, ok := m.colls[c]
	if !ok {
		return nil
	}
	var ids []osd.ObjectID
	for id := range m.objs {
		if s.Contains(id) {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, osd.ObjectID.Compare)
	return ids
}

// frees says that no step of t can need space for data or values.
func (m *model) frees(t *osd.Transaction) bool {
	for _, op := range t.Ops() {
		switch op.Kind {
		case osd.OpRemove, osd.OpRmAttr, osd.OpRmAttrs, osd.OpOmapRm, osd.OpOmapRmRange, osd.OpOmapClear, osd.OpRmColl:
		case osd.OpTruncate:
			if o := m.objs[op.Obj]; o == nil || op.Off > uint64(len(o.data)) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// plan is a transaction tried on sizes alone.
type plan struct {
	m     *model
	colls map[osd.CollectionID]osd.CollectionSpec
	sizes map[osd.ObjectID]int64 // of objects named so far; -1: does not exist
}

// refusals returns what may be said of a transaction that check refuses: the
// errors of all its steps, those that cannot be done left out.
func (m *model) refusals(t *osd.Transaction) []error {
	p := &plan{m: m, colls: m.colls, sizes: map[osd.ObjectID]int64{}}
	var errs []error
	for _, op := range t.Ops() {
		if err := p.step(op); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// check returns the error that t meets, one of the sentinels of osd, and the
// collections as t leaves them.
func (m *model) check(t *osd.Transaction) (*plan, error) {
	p := &plan{m: m, colls: m.colls, sizes: map[osd.ObjectID]int64{}}
	for _, op := range t.Ops() {
		if err := p.step(op); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func (p *plan) size(o osd.ObjectID) int64 {
	if n, ok := p.sizes[o]; ok {
		return n
	}
	if o := p.m.objs[o]; o != nil {
		return int64(len(o.data))
	}
	return -1
}

func (p *plan) step(op osd.Op) error {
	if op.Kind >= osd.OpMkColl {
		return p.stepColl(op)
	}
	s, ok := p.colls[op.Coll]
	if !ok {
		return osd.ErrNotFound
	}
	if !s.Contains(op.Obj) {
		return osd.ErrInvalid
	}
	size := p.size(op.Obj)
	if size < 0 {
		if !creates(op.Kind) {
			return osd.ErrNotFound
		}
		size = 0
	}
	switch op.Kind {
	case osd.OpWrite:
		if len(op.Data) > 0 {
			size = max(size, int64(op.Off)+int64(len(op.Data)))
		}
	case osd.OpZero:
		if op.Len > 0 {
			size = max(size, int64(op.Off+op.Len))
		}
	case osd.OpTruncate:
		size = int64(op.Off)
	case osd.OpRemove:
		size = -1
	case osd.OpClone, osd.OpCloneRange, osd.OpRename:
		to := p.size(op.To)
		switch {
		case !s.Contains(op.To):
			return osd.ErrInvalid
		case op.Kind == osd.OpRename:
			if to >= 0 {
				return osd.ErrExists
			}
			p.sizes[op.To] = size
			size = -1
		case op.Kind == osd.OpClone:
			if op.To == op.Obj {
				return osd.ErrInvalid
			}
			p.sizes[op.To] = size
		default:
			if int64(op.Off+op.Len) > size || op.Obj == op.To && op.Off < op.ToOff+op.Len && op.ToOff < op.Off+op.Len {
				return osd.ErrInvalid
			}
			to = max(to, 0)
			if op.Len > 0 {
				to = max(to, int64(op.ToOff+op.Len))
			}
			p.sizes[op.To] = to
			if op.To == op.Obj {
				size = to
			}
		}
	}
	p.sizes[op.Obj] = size
	return nil
}

func (p *plan) stepColl(op osd.Op) error {
	s, ok := p.colls[op.Coll]
	if !ok && op.Kind != osd.OpMkColl {
		return osd.ErrNotFound
	}
	next := maps.Clone(p.colls)
	switch op.Kind {
	case osd.OpMkColl:
		if op.Spec.Bits > 32 || uint64(op.Spec.Seed)>>op.Spec.Bits != 0 || !validCollID(op.Coll) {
			return osd.ErrInvalid
		}
		if ok {
			return osd.ErrExists
		}
		for _, o := range p.colls {
			if o.Overlaps(op.Spec) {
				return osd.ErrInvalid
			}
		}
		next[op.Coll] = op.Spec
	case osd.OpRmColl:
		for id := range p.m.objs {
			if _, named := p.sizes[id]; !named && s.Contains(id) {
				return osd.ErrNotEmpty
			}
		}
		for id, n := range p.sizes {
			if n >= 0 && s.Contains(id) {
				return osd.ErrNotEmpty
			}
		}
		delete(next, op.Coll)
	case osd.OpSplitColl:
		if op.Bits != s.Bits+1 || op.Bits > 32 || op.Seed != s.Seed|1<<s.Bits || !validCollID(op.Dest) || op.Dest == op.Coll {
			return osd.ErrInvalid
		}
		if _, ok := p.colls[op.Dest]; ok {
			return osd.ErrExists
		}
		s.Bits++
		next[op.Coll] = s
		s.Seed = op.Seed
		next[op.Dest] = s
	case osd.OpMergeColl:
		d, ok := p.colls[op.Dest]
		if !ok {
			return osd.ErrNotFound
		}
		if d.Shard != s.Shard || d.Pool != s.Pool || d.Bits != s.Bits || s.Bits == 0 || op.Bits != s.Bits-1 ||
			(d.Seed^s.Seed) != 1<<op.Bits {
			return osd.ErrInvalid
		}
		delete(next, op.Coll)
		d.Bits--
		d.Seed &= s.Seed
		next[op.Dest] = d
	case osd.OpRenameColl:
		if !validCollID(op.Dest) || op.Dest == op.Coll {
			return osd.ErrInvalid
		}
		if _, ok := p.colls[op.Dest]; ok {
			return osd.ErrExists
		}
		delete(next, op.Coll)
		next[op.Dest] = s
	}
	p.colls = next
	return nil
}

func validCollID(c osd.CollectionID) bool {
	return len(c) > 0 && len(c) <= 255 && utf8.ValidString(string(c))
}

// apply makes the changes of a transaction that check accepted with p.
func (m *model) apply(t *osd.Transaction, p *plan) {
	for _, op := range t.Ops() {
		if op.Kind < osd.OpMkColl {
			m.applyObject(op)
		}
	}
	m.colls = p.colls
}

func (m *model) applyObject(op osd.Op) {
	o := m.objs[op.Obj]
	if o == nil {
		o = newMobject()
		m.objs[op.Obj] = o
	}
	switch op.Kind {
	case osd.OpWrite:
		o.put(op.Off, op.Data)
	case osd.OpZero:
		if op.Len > 0 {
			o.grow(op.Off + op.Len)
			clear(o.data[op.Off : op.Off+op.Len])
		}
	case osd.OpTruncate:
		o.grow(op.Off)
		clear(o.data[op.Off:])
		o.data = o.data[:op.Off]
	case osd.OpRemove:
		delete(m.objs, op.Obj)
	case osd.OpSetAttrs:
		maps.Copy(o.attrs, op.Map)
	case osd.OpRmAttr:
		delete(o.attrs, op.Name)
	case osd.OpRmAttrs:
		clear(o.attrs)
	case osd.OpOmapSet:
		maps.Copy(o.omap, op.Map)
	case osd.OpOmapRm:
		for _, k := range op.Keys {
			delete(o.omap, k)
		}
	case osd.OpOmapRmRange:
		maps.DeleteFunc(o.omap, func(k string, _ []byte) bool { return within(k, op.Name, op.Last) })
	case osd.OpOmapClear:
		clear(o.omap)
		o.header = nil
	case osd.OpOmapSetHeader:
		o.header = op.Data
	case osd.OpClone:
		m.objs[op.To] = &mobject{
			data:   slices.Clone(o.data),
			attrs:  maps.Clone(o.attrs),
			omap:   maps.Clone(o.omap),
			header: o.header,
		}
	case osd.OpCloneRange:
		to := m.objs[op.To]
		if to == nil {
			to = newMobject()
			m.objs[op.To] = to
		}
		to.put(op.ToOff, slices.Clone(o.data[op.Off:op.Off+op.Len]))
	case osd.OpRename:
		m.objs[op.To] = o
		delete(m.objs, op.Obj)
	}
}

// grow makes o at least n bytes long. What lies between length and capacity is
// always zero.
func (o *mobject) grow(n uint64) {
	if n <= uint64(len(o.data)) {
		return
	}
	if n <= uint64(cap(o.data)) {
		o.data = o.data[:n]
		return
	}
	d := make([]byte, n, n+n/4)
	copy(d, o.data)
	o.data = d
}

func (o *mobject) put(off uint64, data []byte) {
	if len(data) > 0 {
		o.grow(off + uint64(len(data)))
		copy(o.data[off:], data)
	}
}

// within says whether k lies in [first, last); an empty last is no bound.
func within(k, first, last string) bool {
	return k >= first && (last == "" || k < last)
}
