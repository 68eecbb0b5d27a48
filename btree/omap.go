package btree

// omap is a sorted map of byte strings in RAM, cheap when it holds one entry
// and when it holds millions. It is a B+tree whose nodes are an arena of bytes
// and a sorted list of slots over it, so the garbage collector sees three
// pointers per ~100 entries.
//
// A node belongs to the map whose token it carries; any other map that reaches
// it copies it before changing it. So clone is O(1): both sides get new tokens.
//
// It has no lock. Nodes are never empty and there is no merging: a node goes
// when its last entry goes, so a map that shrinks evenly keeps thin nodes. That
// is fine for what lives from one checkpoint to the next.
type omap struct {
	root *mapNode
	tok  *token
}

// token is compared by address only.
type token struct{ _ byte }

func (m *omap) empty() bool { return m.root == nil }

// bytes is the memory of the live entries.
func (m *omap) bytes() int {
	if m.root == nil {
		return 0
	}
	return m.root.bytes
}

func (m *omap) count() int {
	if m.root == nil {
		return 0
	}
	return int(m.root.count)
}

// get returns the entry of key. val is valid until the map changes.
func (m *omap) get(key []byte) (val []byte, del, ok bool) {
	n := m.root
	if n == nil {
		return nil, false, false
	}
	for n.kids != nil {
		n = n.kids[n.kidOf(key)]
	}
	i, found := n.search(key)
	if !found {
		return nil, false, false
	}
	_, val, del = n.entry(i)
	return val, del, true
}

// clone returns a second map with the same entries, in O(1).
func (m *omap) clone() omap {
	m.tok = nil
	return omap{root: m.root}
}

// own returns n if the map may change it, else a copy it may change.
func (m *omap) own(n *mapNode) *mapNode {
	if n.tok == m.tok {
		return n
	}
	c := *n
	c.tok = m.tok
	c.slots = append(make([]slot, 0, len(n.slots)+4), n.slots...)
	c.arena = append(make([]byte, 0, len(n.arena)+len(n.arena)/8+32), n.arena...)
	if n.kids != nil {
		c.kids = append(make([]*mapNode, 0, len(n.kids)+4), n.kids...)
	}
	return &c
}

// begin makes room in an empty map for entries of so many bytes, of which the first is
// put at once.
func (m *omap) begin(entries, bytes int) {
	m.tok = new(token)
	m.root = &mapNode{tok: m.tok, arena: make([]byte, 0, min(bytes, maxArena)), slots: make([]slot, 0, min(entries+1, maxEntries+1))}
}

// put sets the entry of key: a value, or a deletion. It copies both.
func (m *omap) put(key, val []byte, del bool) {
	if m.tok == nil {
		m.tok = new(token)
	}
	if m.root == nil {
		m.root = &mapNode{tok: m.tok}
	}
	m.root = m.own(m.root)
	if _, _, right := m.insert(m.root, key, val, del); right != nil {
		top := &mapNode{tok: m.tok, count: m.root.count + right.count, bytes: m.root.bytes + right.bytes}
		top.kids = append(make([]*mapNode, 0, 8), m.root, right)
		top.addEntry(0, nil, nil, false)
		top.addEntry(1, right.key(0), nil, false)
		m.root = top
	}
}

// insert puts into n, which the map owns, and returns what the subtree gained
// and the right half if n was split.
func (m *omap) insert(n *mapNode, key, val []byte, del bool) (count, size int, right *mapNode) {
	if n.kids == nil {
		count, size = n.set(key, val, del)
	} else {
		i := n.kidOf(key)
		kid := m.own(n.kids[i])
		n.kids[i] = kid
		var r *mapNode
		if count, size, r = m.insert(kid, key, val, del); r != nil {
			n.kids = append(n.kids, nil)
			copy(n.kids[i+2:], n.kids[i+1:])
			n.kids[i+1] = r
			n.addEntry(i+1, r.key(0), nil, false)
		}
	}
	n.count = uint32(int(n.count) + count)
	n.bytes += size
	if len(n.slots) > maxEntries || n.kids == nil && len(n.slots) > 1 && len(n.arena)-int(n.dead) > maxArena {
		right = n.split(key)
	}
	return count, size, right
}

// remove takes the entry of key out.
func (m *omap) remove(key []byte) {
	if _, _, ok := m.get(key); ok {
		m.removeRange(key, append(append(make([]byte, 0, 64), key...), 0))
	}
}

// removeRange takes every entry in [lo, hi) out, in O(log n): whole subtrees go
// by their pointers. A nil hi is unbounded.
func (m *omap) removeRange(lo, hi []byte) {
	if m.root == nil {
		return
	}
	if m.tok == nil {
		m.tok = new(token)
	}
	m.root, _, _ = m.cut(m.root, lo, hi)
	for m.root != nil && len(m.root.kids) == 1 {
		m.root = m.root.kids[0]
	}
}

// cut removes [lo, hi) below n. It returns what is left, nil if nothing, and
// the totals of what it removed.
func (m *omap) cut(n *mapNode, lo, hi []byte) (left *mapNode, count uint32, size int) {
	if n.kids == nil {
		return m.cutLeaf(n, lo, hi)
	}
	i, j := n.kidOf(lo), len(n.kids)-1
	if hi != nil {
		j = n.kidOf(hi)
	}
	if i > j { // an empty range
		return n, 0, 0
	}
	left, count, size = m.cut(n.kids[i], lo, hi)
	right := left
	if j > i {
		var c uint32
		var s int
		right, c, s = m.cut(n.kids[j], lo, hi)
		count, size = count+c, size+s
		for _, k := range n.kids[i+1 : j] {
			count, size = count+k.count, size+k.bytes
		}
	}
	switch count {
	case 0:
		return n, 0, 0
	case n.count:
		return nil, count, size
	}
	n = m.own(n)
	n.count -= count
	n.bytes -= size
	w := i // kids kept so far
	if left != nil {
		n.kids[w] = left
		w++
	}
	if j > i && right != nil {
		n.kids[w], n.slots[w] = right, n.slots[j]
		w++
	}
	n.dead += uint32((j + 1 - w) * entryHeader) // a lower bound: it leaves out the keys
	copy(n.kids[w:], n.kids[j+1:])
	copy(n.slots[w:], n.slots[j+1:])
	w += len(n.kids) - (j + 1)
	clear(n.kids[w:])
	n.kids, n.slots = n.kids[:w], n.slots[:w]
	return n, count, size
}

func (m *omap) cutLeaf(n *mapNode, lo, hi []byte) (left *mapNode, count uint32, size int) {
	i, _ := n.search(lo)
	j := len(n.slots)
	if hi != nil {
		j, _ = n.search(hi)
	}
	if i >= j {
		return n, 0, 0
	}
	if j-i == len(n.slots) {
		return nil, n.count, n.bytes
	}
	n = m.own(n)
	for k := i; k < j; k++ {
		span := len(n.entrySpan(k))
		n.dead += uint32(span)
		size += span + slotSize
	}
	count = uint32(j - i)
	n.bytes -= size
	n.count -= count
	n.slots = append(n.slots[:i], n.slots[j:]...)
	return n, count, size
}
