package btree

import "bytes"

// What a merge does about nodes of the old tree that cannot be read; see GiverUp.

// giveUp passes on the damaged subtree c, whose keys are in [lo, hi), and drops
// the changes to it, of which one is a cleared range if cleared says so.
func (m *merger) giveUp(n int, lo, hi []byte, c child, cleared bool, cause error) error {
	if err := m.spare(cause); err != nil {
		return err
	}
	changes := 0
	if cleared {
		changes++
	}
	for ; m.before(hi); changes++ {
		m.ents.next()
	}
	if err := m.giver.GiveUp(m.cfg, m.own, lo, hi, c.ptr, changes, cause); err != nil {
		return err
	}
	c.ptr.Flags |= PtrDamaged
	return m.pass(n, lo, c)
}

// spare returns nil if the merge can do without the node that gave err.
func (m *merger) spare(err error) error {
	if m.giver == nil || m.ctx.Err() != nil {
		return err
	}
	return nil
}

// leak gives up a subtree that nobody wants any more but whose root cannot be
// read: what is below it stays allocated.
func (m *merger) leak(p Ptr, cause error) error {
	if err := m.spare(cause); err != nil {
		return err
	}
	if err := m.giver.GiveUp(m.cfg, m.own, nil, nil, p, 0, cause); err != nil {
		return err
	}
	m.free(p)
	return nil
}

// condemned says whether a lost key lies in [lo, hi).
func (m *merger) condemned(lo, hi []byte) bool {
	for _, k := range m.lost {
		if bytes.Compare(k, lo) >= 0 && (hi == nil || bytes.Compare(k, hi) < 0) {
			return true
		}
	}
	return false
}
