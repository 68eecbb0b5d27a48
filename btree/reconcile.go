package btree

import (
	"bytes"
	"context"
	"fmt"
	"slices"
)

// Reconcile merges the frozen delta into the pages and returns the new root,
// for Publish. Until then the tree serves what it served before. Nodes the
// delta does not touch stay as they are; of a subtree inside a cleared range
// only inner nodes are read, and leaves that hold overflow values. Every node
// that is replaced is freed once.
//
// After an error the tree is as it was and Reconcile may be called again; see
// Sink for what was allocated and freed by then.
func (t *Tree) Reconcile(ctx context.Context, sink Sink) (Root, error) {
	t.mu.RLock()
	old, frozen := t.root, t.frozen
	t.mu.RUnlock()
	if old == nil {
		old = new(Root)
	}
	if frozen.empty() {
		return *old, nil
	}
	m := newMerger(ctx, t.cfg, &t.own, t.ld, sink)
	defer m.close()
	m.lost = frozen.lost
	m.touched = slices.Clone(frozen.touched)
	slices.SortFunc(m.touched, bytes.Compare)
	root, err := m.reconcile(*old, frozen)
	if err != nil {
		return Root{}, fmt.Errorf("reconcile tree %q: %w", t.cfg.Name, err)
	}
	return root, nil
}

func (m *merger) reconcile(old Root, d *delta) (Root, error) {
	m.ents.begin(d)
	m.cuts.seek(&d.cuts, nil)
	inline := m.cfg.InlineBytes
	var err error
	switch old.Kind {
	case RootInline:
		var in body
		if in, err = openInlineOf(m.cfg, old.Inline); err == nil {
			err = m.mergeLeaf(&in, nil)
		}
	case RootNode:
		inline /= 2 // a root that left the holder returns only when it shrank well
		err = m.visit(int(old.Ptr.Level), nil, nil, child{ptr: old.Ptr, count: old.Count, bytes: old.Bytes})
	default:
		err = m.drain(nil)
	}
	if err != nil {
		return Root{}, err
	}
	return m.finish(inline)
}

// before says whether the delta has another entry below hi; nil is unbounded.
func (m *merger) before(hi []byte) bool {
	return m.ents.valid() && (hi == nil || bytes.Compare(m.ents.key(), hi) < 0)
}

// drain adds the entries below hi, where nothing lies below the delta.
func (m *merger) drain(hi []byte) error {
	for m.before(hi) {
		key, val, del := m.ents.entry()
		if !del {
			if err := m.tell(key, nil, val); err != nil {
				return err
			}
			if err := m.put(key, val); err != nil {
				return err
			}
		}
		m.ents.next()
	}
	return nil
}

// outOfLine says whether the pages will hold a descriptor in place of val.
func (m *merger) outOfLine(val []byte) bool {
	return m.cfg.fixedVal() < 0 && len(val) > m.cfg.overflowBytes()
}

// tell hands a change to the Differ, if there is one. A value out of line is as
// none; old is not one.
func (m *merger) tell(key, old, new []byte) error {
	if m.diff == nil {
		return nil
	}
	if m.outOfLine(new) {
		new = nil
	}
	if old == nil && new == nil || old != nil && new != nil && bytes.Equal(old, new) {
		return nil
	}
	return m.diff.Replaced(m.cfg, m.own, key, old, new)
}

// tellGone hands the removal of item i of a leaf to the Differ.
func (m *merger) tellGone(b *body, i int) error {
	if m.diff == nil {
		return nil
	}
	val, over := b.value(i)
	if over {
		return nil
	}
	m.key = b.appendKey(m.key[:0], i)
	return m.tell(m.key, val, nil)
}

// covers says what the cleared ranges do to [lo, hi): whole is all of it, some
// a part. Calls come with ascending lo.
func (m *merger) covers(lo, hi []byte) (whole, some bool) {
	for m.cuts.valid() {
		start, end, open := m.cuts.entry()
		if !open && bytes.Compare(end, lo) <= 0 {
			m.cuts.next()
			continue
		}
		some = hi == nil || bytes.Compare(start, hi) < 0
		whole = bytes.Compare(start, lo) <= 0 && (open || hi != nil && bytes.Compare(hi, end) <= 0)
		return whole, some
	}
	return false, false
}

// visit merges the delta into the subtree c, whose root is at level n and whose
// keys are in [lo, hi).
func (m *merger) visit(n int, lo, hi []byte, c child) error {
	whole, some := m.covers(lo, hi)
	if whole {
		if err := m.freeTree(c.ptr); err != nil {
			return err
		}
		m.lo = append(m.lo[:0], lo...)
		return m.drain(hi)
	}
	same := !some && !m.before(hi)
	if same && !m.moves(lo, hi) {
		return m.pass(n, lo, c)
	}
	if n == 0 && m.condemned(lo, hi) {
		return m.giveUp(n, lo, hi, c, some, ErrCorrupt)
	}
	page, err := m.load(c.ptr)
	if err != nil && same { // what was to move stays
		if err := m.spare(err); err != nil {
			return err
		}
		return m.pass(n, lo, c)
	}
	if err != nil {
		return m.giveUp(n, lo, hi, c, some, err)
	}
	defer page.Release()
	m.free(c.ptr)
	if n == 0 {
		m.lo = append(m.lo[:0], lo...)
		return m.mergeLeaf(&page.body, hi)
	}
	if n == 1 && m.ahead != nil {
		m.prefetch(page, hi)
	}
	var buf [2][]byte // low and high end of a child, by turns
	for i := range page.n {
		end := hi
		if i+1 < page.n {
			buf[i%2] = page.appendKey(buf[i%2][:0], i)
			end = buf[i%2]
		}
		if err := m.visit(n-1, lo, end, page.child(i)); err != nil {
			return err
		}
		lo = end
	}
	return nil
}

// moves says whether a touched key lies in [lo, hi).
func (m *merger) moves(lo, hi []byte) bool {
	i, _ := slices.BinarySearchFunc(m.touched, lo, bytes.Compare)
	return i < len(m.touched) && (hi == nil || bytes.Compare(m.touched[i], hi) < 0)
}

// prefetch tells which leaves below page, whose keys end at hi, have changes.
func (m *merger) prefetch(page *Page, hi []byte) {
	if !m.ents.valid() {
		return
	}
	m.next = m.next[:0]
	c := m.ents
	for i := 0; i < page.n && c.valid(); i++ {
		end := hi
		if i+1 < page.n {
			m.key = page.appendKey(m.key[:0], i)
			end = m.key
		}
		if end != nil && bytes.Compare(c.key(), end) >= 0 {
			continue
		}
		m.next = append(m.next, page.child(i).ptr)
		if end == nil {
			break
		}
		c.seek(end)
	}
	if len(m.next) > 1 {
		m.ahead.Prefetch(m.cfg, m.own, m.next)
	}
}

// mergeLeaf merges the delta below hi with a leaf.
func (m *merger) mergeLeaf(b *body, hi []byte) error {
	m.findMasks(b, hi)
	for i := 0; ; {
		more := m.before(hi)
		next, found := b.n, false
		if more {
			next, found = b.search(m.ents.key())
		}
		if err := m.keep(b, i, next); err != nil {
			return err
		}
		if !more {
			return nil
		}
		i = next
		key, val, del := m.ents.entry()
		var old []byte
		if found {
			over := false
			if old, over = b.value(i); over {
				old = nil
			}
			m.freeValue(b, i)
			i++
		}
		if err := m.tell(key, old, val); err != nil { // val is nil if del
			return err
		}
		if !del {
			if err := m.put(key, val); err != nil {
				return err
			}
		}
		m.ents.next()
	}
}

// findMasks notes which items of a leaf lie in cleared ranges.
func (m *merger) findMasks(b *body, hi []byte) {
	m.masks, m.masked = m.masks[:0], 0
	for m.cuts.valid() {
		start, end, open := m.cuts.entry()
		if hi != nil && bytes.Compare(start, hi) >= 0 {
			return
		}
		i, _ := b.search(start)
		j := b.n
		if !open {
			j, _ = b.search(end)
		}
		if i < j {
			m.masks = append(m.masks, [2]int{i, j})
		}
		if open || hi != nil && bytes.Compare(end, hi) > 0 {
			return // it goes on in the next leaf
		}
		m.cuts.next()
	}
}

// keep adds items [i, j) of a leaf, without those that are cleared.
func (m *merger) keep(b *body, i, j int) error {
	for i < j {
		for m.masked < len(m.masks) && m.masks[m.masked][1] <= i {
			m.masked++
		}
		if m.masked < len(m.masks) && m.masks[m.masked][0] <= i {
			if err := m.tellGone(b, i); err != nil {
				return err
			}
			m.freeValue(b, i)
			i++
			continue
		}
		if err := m.addFrom(b, i); err != nil {
			return err
		}
		i++
	}
	return nil
}

// freeValue gives up what item i of a leaf holds out of line.
func (m *merger) freeValue(b *body, i int) {
	if val, over := b.value(i); over {
		m.sink.FreeBlob(overflowExtents(val))
	}
}

// freeTree gives up a whole subtree.
func (m *merger) freeTree(p Ptr) error {
	if p.Level > 0 || p.Flags&PtrOverflow != 0 || m.diff != nil {
		page, err := m.load(p)
		if err != nil {
			return m.leak(p, err)
		}
		defer page.Release()
		for i := range page.n {
			if !page.inner {
				if err := m.tellGone(&page.body, i); err != nil {
					return err
				}
				m.freeValue(&page.body, i)
			} else if err := m.freeTree(page.child(i).ptr); err != nil {
				return err
			}
		}
	}
	m.free(p)
	return nil
}
