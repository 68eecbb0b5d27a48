package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"ebofs/osd"
)

// pair is a store and what it is to hold. Its methods return what differs.
type pair struct {
	ctx context.Context
	h   *Handle
	m   *model
	buf []byte // of reads, reused

	full    bool // there may be no space
	refused int  // times there was none
}

func newPair(h *Handle) *pair {
	return &pair{ctx: context.Background(), h: h, m: newModel()}
}

// queue hands t to both and compares the outcome, not the state.
func (p *pair) queue(t *osd.Transaction, onApplied func(), onCommit func(error)) error {
	_, err := p.offer(t, onApplied, onCommit)
	return err
}

// offer is queue and says whether t was applied.
func (p *pair) offer(t *osd.Transaction, onApplied func(), onCommit func(error)) (applied bool, err error) {
	pl, want := p.m.check(t)
	got := p.h.Store.Queue(p.ctx, t, onApplied, onCommit)
	if p.full && errors.Is(got, osd.ErrNoSpace) && !p.m.frees(t) {
		p.refused++
		return false, nil
	}
	if want != nil {
		if !errors.Is(got, want) && !isAny(got, p.m.refusals(t)...) {
			return false, fmt.Errorf("transaction answered %q, want %q", fmt.Sprint(got), want)
		}
		return false, nil
	}
	if got != nil {
		return false, fmt.Errorf("transaction answered %q, want no error", got)
	}
	p.m.apply(t, pl)
	return true, nil
}

// do hands t to both and compares what it touched.
func (p *pair) do(t *osd.Transaction) error {
	if err := p.queue(t, nil, nil); err != nil {
		return err
	}
	return p.compareTouched(t)
}

// compareTouched compares what t is about: existence and size of every object it
// names, the bytes around those it changed, the attrs and keys it names.
func (p *pair) compareTouched(t *osd.Transaction) error {
	for _, op := range t.Ops() {
		if op.Kind >= osd.OpMkColl {
			for _, c := range []osd.CollectionID{op.Coll, op.Dest} {
				if err := p.compareSpec(c); err != nil {
					return err
				}
			}
			continue
		}
		if err := p.compareOp(op, op.Obj, op.Off); err != nil {
			return err
		}
		if op.To != (osd.ObjectID{}) {
			if err := p.compareOp(op, op.To, op.ToOff); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *pair) compareOp(op osd.Op, id osd.ObjectID, off uint64) error {
	c, o, err := p.compareStat(id)
	if err != nil || o == nil {
		return err
	}
	switch op.Kind {
	case osd.OpWrite, osd.OpZero, osd.OpTruncate, osd.OpCloneRange:
		const around = 64 // crosses a block's edge where the change ends at one
		n := max(op.Len, uint64(len(op.Data)))
		from := off - min(off, around)
		return p.compareData(c, id, o, from, n+2*around)
	case osd.OpSetAttrs, osd.OpRmAttr, osd.OpRmAttrs:
		names := append(slices.Collect(maps.Keys(op.Map)), op.Name)
		for _, name := range names {
			if name == "" {
				continue
			}
			got, err := p.h.Store.Attr(p.ctx, c, id, name)
			want, ok := o.attrs[name]
			if !ok {
				if !errors.Is(err, osd.ErrNoAttr) {
					return fmt.Errorf("object %v attr %q: %v, want %v", id, brief(name), err, osd.ErrNoAttr)
				}
				continue
			}
			if err != nil || !bytes.Equal(got, want) {
				return fmt.Errorf("object %v attr %q: %s, %v; want %s", id, brief(name), brief(got), err, brief(want))
			}
		}
	case osd.OpOmapSet, osd.OpOmapRm:
		keys := slices.AppendSeq(slices.Clone(op.Keys), maps.Keys(op.Map))
		return p.compareKeys(c, id, o, keys)
	case osd.OpOmapRmRange:
		return p.compareOmap(c, id, o, op.Name, op.Last)
	case osd.OpOmapClear, osd.OpOmapSetHeader:
		return p.compareHeader(c, id, o)
	case osd.OpClone, osd.OpRename:
		return p.compareObject(id)
	}
	return nil
}

func (p *pair) compareSpec(c osd.CollectionID) error {
	got, err := p.h.Store.Collection(p.ctx, c)
	want, ok := p.m.colls[c]
	if !ok {
		if !errors.Is(err, osd.ErrNotFound) {
			return fmt.Errorf("collection %q: %v, want %v", c, err, osd.ErrNotFound)
		}
		return nil
	}
	if err != nil || got != want {
		return fmt.Errorf("collection %q is %+v, %v; want %+v", c, got, err, want)
	}
	return nil
}

// compareStat compares existence and size; the object is nil if it is missing,
// as it should be.
func (p *pair) compareStat(id osd.ObjectID) (osd.CollectionID, *mobject, error) {
	c, ok := p.m.collOf(id)
	if !ok {
		return "", nil, nil
	}
	st, err := p.h.Store.Stat(p.ctx, c, id)
	o := p.m.objs[id]
	if o == nil {
		if !errors.Is(err, osd.ErrNotFound) {
			return c, nil, fmt.Errorf("object %v in %q: stat %+v, %v; want %v", id, c, st, err, osd.ErrNotFound)
		}
		return c, nil, nil
	}
	if err != nil {
		return c, nil, fmt.Errorf("object %v in %q: %w", id, c, err)
	}
	if st.SizeBytes != uint64(len(o.data)) {
		return c, nil, fmt.Errorf("object %v in %q has %d bytes, want %d", id, c, st.SizeBytes, len(o.data))
	}
	return c, o, nil
}

// compareData reads n bytes from off.
func (p *pair) compareData(c osd.CollectionID, id osd.ObjectID, o *mobject, off, n uint64) error {
	var want []byte
	if off < uint64(len(o.data)) {
		want = o.data[off:min(uint64(len(o.data)), off+n)]
	}
	if uint64(len(p.buf)) < n {
		p.buf = make([]byte, n)
	}
	got := p.buf[:n]
	m, err := p.h.Store.Read(p.ctx, c, id, off, got)
	if err != nil || m != len(want) {
		return fmt.Errorf("object %v: read of %d~%d returned %d, %v; want %d", id, off, n, m, err, len(want))
	}
	if !bytes.Equal(got[:m], want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		return fmt.Errorf("object %v of %d bytes: read of %d~%d: byte %d is %#02x, want %#02x: %s",
			id, len(o.data), off, n, off+uint64(i), got[i], want[i], differing(got[:m], want, off))
	}
	return nil
}

// differing names the first and last byte that differ and whether what was read
// is zeros.
func differing(got, want []byte, off uint64) string {
	first, last, zeros := -1, 0, true
	for i := range got {
		if got[i] != want[i] {
			if first < 0 {
				first = i
			}
			last = i
			zeros = zeros && got[i] == 0
		}
	}
	kind := "other bytes"
	if zeros {
		kind = "zeros"
	}
	return fmt.Sprintf("differs in [%d,%d], read %s", off+uint64(first), off+uint64(last), kind)
}

func (p *pair) compareKeys(c osd.CollectionID, id osd.ObjectID, o *mobject, keys []string) error {
	got, err := p.h.Store.OmapGet(p.ctx, c, id, keys)
	if err != nil {
		return fmt.Errorf("object %v: omap get: %w", id, err)
	}
	for _, k := range keys {
		want, ok := o.omap[k]
		v, have := got[k]
		if have != ok || !bytes.Equal(v, want) {
			return fmt.Errorf("object %v omap key %q: %s (there: %v), want %s (there: %v)", id, brief(k), brief(v), have, brief(want), ok)
		}
	}
	for k := range got {
		if !slices.Contains(keys, k) {
			return fmt.Errorf("object %v: omap get returned key %q, which nobody asked for", id, brief(k))
		}
	}
	return nil
}

func (p *pair) compareHeader(c osd.CollectionID, id osd.ObjectID, o *mobject) error {
	got, err := p.h.Store.OmapHeader(p.ctx, c, id)
	if err != nil || !bytes.Equal(got, o.header) {
		return fmt.Errorf("object %v omap header: %s, %v; want %s", id, brief(got), err, brief(o.header))
	}
	return nil
}

func (p *pair) compareOmap(c osd.CollectionID, id osd.ObjectID, o *mobject, first, last string) error {
	var want []string
	for k := range o.omap {
		if within(k, first, last) {
			want = append(want, k)
		}
	}
	slices.Sort(want)
	i := 0
	var diff error
	err := p.h.Store.OmapIter(p.ctx, c, id, first, last, func(k string, v []byte) bool {
		if i == len(want) || k != want[i] || !bytes.Equal(v, o.omap[k]) {
			diff = fmt.Errorf("object %v omap [%q,%q): key %d is %q = %s", id, brief(first), brief(last), i, brief(k), brief(v))
			if i < len(want) {
				diff = fmt.Errorf("%w, want %q = %s", diff, brief(want[i]), brief(o.omap[want[i]]))
			} else {
				diff = fmt.Errorf("%w, want the end", diff)
			}
			return false
		}
		i++
		return true
	})
	if err != nil {
		return fmt.Errorf("object %v: omap iteration: %w", id, err)
	}
	if diff == nil && i != len(want) {
		diff = fmt.Errorf("object %v omap [%q,%q): ended after %d keys, want %d, next %q", id, brief(first), brief(last), i, len(want), brief(want[i]))
	}
	return diff
}

// compareObject compares all of one object.
func (p *pair) compareObject(id osd.ObjectID) error {
	c, o, err := p.compareStat(id)
	if err != nil || o == nil {
		return err
	}
	if err := p.compareData(c, id, o, 0, uint64(len(o.data))+1); err != nil {
		return err
	}
	if err := p.compareFiemap(c, id, o, 0, uint64(len(o.data))+1); err != nil {
		return err
	}
	attrs, err := p.h.Store.Attrs(p.ctx, c, id)
	if err != nil {
		return fmt.Errorf("object %v: attrs: %w", id, err)
	}
	if !maps.EqualFunc(attrs, o.attrs, bytes.Equal) {
		for name, want := range o.attrs {
			if got, ok := attrs[name]; !ok || !bytes.Equal(got, want) {
				return fmt.Errorf("object %v attr %q: %s (there: %v), want %s", id, brief(name), brief(got), ok, brief(want))
			}
		}
		return fmt.Errorf("object %v has %d attrs, want %d", id, len(attrs), len(o.attrs))
	}
	if err := p.compareHeader(c, id, o); err != nil {
		return err
	}
	return p.compareOmap(c, id, o, "", "")
}

// compareFiemap checks order and bounds, and that all outside is zero.
func (p *pair) compareFiemap(c osd.CollectionID, id osd.ObjectID, o *mobject, off, n uint64) error {
	es, err := p.h.Store.Fiemap(p.ctx, c, id, off, n)
	if err != nil {
		return fmt.Errorf("object %v: fiemap: %w", id, err)
	}
	end := min(uint64(len(o.data)), off+n)
	at := min(off, end)
	for _, e := range es {
		if e.Len == 0 || e.Off < at || e.Off+e.Len > end {
			return fmt.Errorf("object %v of %d bytes: fiemap of %d~%d: %v", id, len(o.data), off, n, es)
		}
		if !allZero(o.data[at:e.Off]) {
			return fmt.Errorf("object %v: fiemap of %d~%d: %v leaves out data in [%d,%d)", id, off, n, es, at, e.Off)
		}
		at = e.Off + e.Len
	}
	if !allZero(o.data[at:end]) {
		return fmt.Errorf("object %v: fiemap of %d~%d: %v leaves out data in [%d,%d)", id, off, n, es, at, end)
	}
	return nil
}

func allZero(p []byte) bool {
	const chunk = 4096
	var zeros [chunk]byte
	for len(p) > chunk {
		if !bytes.Equal(p[:chunk], zeros[:]) {
			return false
		}
		p = p[chunk:]
	}
	return bytes.Equal(p, zeros[:len(p)])
}

// compareList pages through c, max objects at a time.
func (p *pair) compareList(c osd.CollectionID, max int) error {
	want := p.m.ids(c)
	var got []osd.ObjectID
	var start *osd.ObjectID
	for {
		ids, next, err := p.h.Store.List(p.ctx, c, start, nil, max)
		if err != nil {
			return fmt.Errorf("collection %q: list: %w", c, err)
		}
		if max > 0 && len(ids) > max {
			return fmt.Errorf("collection %q: list of %d returned %d", c, max, len(ids))
		}
		got = append(got, ids...)
		if len(got) > len(want)+len(ids) {
			return fmt.Errorf("collection %q: list by %d does not end after %d objects, want %d", c, max, len(got), len(want))
		}
		if next == nil {
			break
		}
		if start != nil && next.Compare(*start) <= 0 {
			return fmt.Errorf("collection %q: list by %d went from %v back to %v", c, max, *start, *next)
		}
		start = next
	}
	return sameIDs(fmt.Sprintf("collection %q listed by %d", c, max), got, want)
}

func sameIDs(what string, got, want []osd.ObjectID) error {
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(got):
			return fmt.Errorf("%s: %d objects, want %d; the first missing is %v", what, len(got), len(want), want[i])
		case i >= len(want):
			return fmt.Errorf("%s: %d objects, want %d; the first beyond is %v", what, len(got), len(want), got[i])
		case got[i] != want[i]:
			return fmt.Errorf("%s: object %d is %v, want %v", what, i, got[i], want[i])
		}
	}
	return nil
}

// compareAll compares the whole state.
func (p *pair) compareAll() error {
	got, err := p.h.Store.Collections(p.ctx)
	if err != nil {
		return fmt.Errorf("collections: %w", err)
	}
	want := slices.Sorted(maps.Keys(p.m.colls))
	if !slices.Equal(got, want) {
		return fmt.Errorf("collections are %q, want %q", got, want)
	}
	for _, c := range want {
		if err := p.compareSpec(c); err != nil {
			return err
		}
		if err := p.compareList(c, 7); err != nil {
			return err
		}
		if err := p.compareList(c, 0); err != nil {
			return err
		}
		for _, id := range p.m.ids(c) {
			if err := p.compareObject(id); err != nil {
				return err
			}
		}
	}
	return nil
}

// reopen closes the store and opens it again, if it can.
func (p *pair) reopen() error {
	if p.h.Reopen == nil {
		return nil
	}
	s, err := p.h.Reopen(p.ctx)
	if err != nil {
		return fmt.Errorf("reopen: %w", err)
	}
	p.h.Store = s
	return nil
}

// checkpoint makes the store do one, if it can, or syncs it.
func (p *pair) checkpoint() error {
	if p.h.Checkpoint == nil {
		return p.h.Store.Sync(p.ctx)
	}
	return p.h.Checkpoint(p.ctx)
}

// close closes the store and checks what it left.
func (p *pair) close() error {
	if err := p.h.Store.Close(p.ctx); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if p.h.Check != nil {
		if err := p.h.Check(p.ctx); err != nil {
			return fmt.Errorf("check of the closed store: %w", err)
		}
	}
	return nil
}

// brief shortens what a failure prints.
func brief[T ~string | ~[]byte](v T) string {
	if len(v) <= 40 {
		return fmt.Sprintf("%q", string(v))
	}
	return fmt.Sprintf("%q… (%d bytes)", string(v[:24]), len(v))
}
