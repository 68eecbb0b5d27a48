package btree

// ocursor walks the entries of a map that does not change meanwhile. The zero
// value is not valid.
type ocursor struct {
	n [maxDepth]*mapNode
	i [maxDepth]int
	d int // depth of the leaf; -1: not on an entry
}

func (c *ocursor) valid() bool { return c.d >= 0 }

// entry is the entry the cursor is on.
func (c *ocursor) entry() (key, val []byte, del bool) { return c.n[c.d].entry(c.i[c.d]) }

func (c *ocursor) key() []byte { return c.n[c.d].key(c.i[c.d]) }

// seek moves to the first entry not below key.
func (c *ocursor) seek(m *omap, key []byte) {
	if c.descend(m, key) {
		l := &c.i[c.d]
		if *l, _ = c.n[c.d].search(key); *l == len(c.n[c.d].slots) {
			*l--
			c.next()
		}
	}
}

// seekLE moves to the last entry not above key.
func (c *ocursor) seekLE(m *omap, key []byte) {
	if c.descend(m, key) {
		i, found := c.n[c.d].search(key)
		c.i[c.d] = i
		if !found {
			c.prev()
		}
	}
}

// seekLT moves to the last entry below key.
func (c *ocursor) seekLT(m *omap, key []byte) {
	if c.descend(m, key) {
		c.i[c.d], _ = c.n[c.d].search(key)
		c.prev()
	}
}

// descend moves to the leaf whose range holds key.
func (c *ocursor) descend(m *omap, key []byte) bool {
	c.d = -1
	for n := m.root; n != nil; {
		c.d++
		c.n[c.d] = n
		if n.kids == nil {
			return true
		}
		c.i[c.d] = n.kidOf(key)
		n = n.kids[c.i[c.d]]
	}
	return false
}

// last moves to the last entry.
func (c *ocursor) last(m *omap) {
	c.d = -1
	for n := m.root; n != nil; {
		c.d++
		c.n[c.d], c.i[c.d] = n, len(n.slots)-1
		if n.kids == nil {
			return
		}
		n = n.kids[len(n.kids)-1]
	}
}

// next moves to the next entry.
func (c *ocursor) next() {
	c.i[c.d]++
	for c.i[c.d] >= len(c.n[c.d].slots) {
		if c.d--; c.d < 0 {
			return
		}
		c.i[c.d]++
	}
	for n := c.n[c.d]; n.kids != nil; {
		n = n.kids[c.i[c.d]]
		c.d++
		c.n[c.d], c.i[c.d] = n, 0
	}
}

// prev moves to the entry before.
func (c *ocursor) prev() {
	c.i[c.d]--
	for c.i[c.d] < 0 {
		if c.d--; c.d < 0 {
			return
		}
		c.i[c.d]--
	}
	for n := c.n[c.d]; n.kids != nil; {
		n = n.kids[c.i[c.d]]
		c.d++
		c.n[c.d], c.i[c.d] = n, len(n.slots)-1
	}
}
