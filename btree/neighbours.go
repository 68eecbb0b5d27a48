package btree

import "fmt"

// pass adds an untouched subtree whose root is at level n.
func (m *merger) pass(n int, low []byte, c child) error {
	for k := range n {
		small, err := m.settle(m.level(k), low)
		if err != nil {
			return err
		}
		if !small {
			continue
		}
		if done, err := m.open(n, low, c); done || err != nil {
			return err
		}
		if err := m.flush(m.level(k), low); err != nil { // small, between damaged ones
			return err
		}
	}
	l := m.level(n)
	if len(l.recs) > 0 && l.small() {
		done, err := m.absorbLeft(l)
		if err != nil {
			return err
		}
		if !done {
			if done, err = m.absorb(l, low, c); done || err != nil {
				return err
			}
		}
	}
	if err := m.flush(l, low); err != nil {
		return err
	}
	return m.addChild(n+1, low, c, true)
}

// settle flushes l in front of high, unless what is pending is too small for a
// page and there is no left neighbour to join it with.
func (m *merger) settle(l *level, high []byte) (small bool, err error) {
	if len(l.recs) == 0 {
		return false, nil
	}
	if l.small() {
		if done, err := m.absorbLeft(l); err != nil || !done {
			return !done, err
		}
	}
	return false, m.flush(l, high)
}

// load loads a node of the old tree.
func (m *merger) load(p Ptr) (*Page, error) {
	if err := m.ctx.Err(); err != nil {
		return nil, err
	}
	page, err := m.ld.Load(m.ctx, m.cfg, m.own, p)
	if err != nil {
		return nil, fmt.Errorf("tree %q level %d: %w", m.cfg.Name, p.Level, err)
	}
	return page, nil
}

// free gives up the node p names.
func (m *merger) free(p Ptr) { m.sink.Free(p.Addr, int(p.Blocks)) }

// absorb adds the items of an untouched node at the level of l to l. done is
// false if it is damaged.
func (m *merger) absorb(l *level, low []byte, c child) (done bool, err error) {
	page, err := m.load(c.ptr)
	if err != nil {
		return false, m.spare(err)
	}
	defer page.Release()
	m.free(c.ptr)
	return true, m.addPage(l, low, page)
}

// addPage adds all items of a page at the level of l to l.
func (m *merger) addPage(l *level, low []byte, page *Page) error {
	var buf []byte
	for i := range page.n {
		var err error
		switch {
		case l.n == 0:
			err = m.addFrom(&page.body, i)
		case i == 0:
			err = m.addChild(l.n, low, page.child(i), true)
		default:
			buf = page.appendKey(buf[:0], i-1)
			err = m.addChild(l.n, buf, page.child(i), true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// absorbLeft puts the items of the untouched node before l in front of what is
// pending. done is false if there is none, or a damaged one.
func (m *merger) absorbLeft(l *level) (done bool, err error) {
	if len(m.levels) <= l.n+1 {
		return false, nil
	}
	up := m.levels[l.n+1]
	last := len(up.recs) - 1
	if last < 0 || !up.recs[last].old {
		return false, nil
	}
	c := decodeChild(up.val(last))
	page, err := m.load(c.ptr)
	if err != nil {
		return false, m.spare(err)
	}
	defer page.Release()
	m.free(c.ptr)
	low := append([]byte(nil), up.key(last)...)
	up.arena = up.arena[:up.recs[last].off]
	up.recs = up.recs[:last]
	up.resize(m.cfg)

	rest := l.records
	l.records = records{}
	l.resize(m.cfg)
	m.lo = append(m.lo[:0], low...)
	if err := m.addPage(l, low, page); err != nil {
		return false, err
	}
	for i := range rest.recs {
		l.add(rest.key(i), rest.val(i), rest.recs[i].over)
		l.recs[len(l.recs)-1].old = rest.recs[i].old
		if err := m.grown(l); err != nil {
			return false, err
		}
	}
	return true, nil
}

// open passes the children of an untouched inner node one by one. done is false
// if it is damaged.
func (m *merger) open(n int, low []byte, c child) (done bool, err error) {
	page, err := m.load(c.ptr)
	if err != nil {
		return false, m.spare(err)
	}
	defer page.Release()
	m.free(c.ptr)
	for i := range page.n {
		if i > 0 {
			low = page.appendKey(nil, i-1)
		}
		if err := m.pass(n-1, low, page.child(i)); err != nil {
			return true, err
		}
	}
	return true, nil
}
