package btree

import (
	"bytes"
	"encoding/binary"
)

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

// mapNode is a leaf (kids nil) of entries in key order, or an inner node whose
// entry i is the lowest key kid i may hold; kid 0 takes what is lower still, so
// entry 0 is never compared.
type mapNode struct {
	tok   *token
	slots []slot // the entries in key order
	arena []byte
	kids  []*mapNode
	bytes int    // of the entries of all leaves below, entryBytes each
	count uint32 // entries of all leaves below
	dead  uint32 // bytes of arena no slot names
	// All keys that are compared begin with the same prefix bytes, so that heads
	// tell most of them apart and a search rarely leaves the slots.
	prefix uint16
}

// slot is where an entry begins in the arena, and the head of its key behind
// the prefix of the node.
type slot struct{ off, head uint32 }

// An entry is {key length u16, value length u32 or delMark, key, value}.
const (
	entryHeader = 6
	delMark     = 1<<32 - 1
	slotSize    = 8

	maxEntries = 128      // of a node
	maxArena   = 32 << 10 // of a leaf with more than one entry
	maxDepth   = 12       // 64^12 entries
)

// entryBytes is what an entry costs: arena and slot.
func entryBytes(key, val []byte) int { return entryHeader + slotSize + len(key) + len(val) }

func (n *mapNode) key(i int) []byte {
	o := int(n.slots[i].off)
	k := int(binary.LittleEndian.Uint16(n.arena[o:]))
	return n.arena[o+entryHeader : o+entryHeader+k]
}

// entry returns key and value of entry i; del says it is a deletion.
func (n *mapNode) entry(i int) (key, val []byte, del bool) {
	o := int(n.slots[i].off)
	k := o + entryHeader + int(binary.LittleEndian.Uint16(n.arena[o:]))
	v := binary.LittleEndian.Uint32(n.arena[o+2:])
	key = n.arena[o+entryHeader : k]
	if v == delMark {
		return key, nil, true
	}
	return key, n.arena[k : k+int(v)], false
}

// first is the first entry whose key is compared.
func (n *mapNode) first() int {
	if n.kids != nil {
		return 1
	}
	return 0
}

// find returns the first entry from first on that is not below key, and whether
// it equals key.
func (n *mapNode) find(first int, key []byte) (int, bool) {
	lo, hi := first, len(n.slots)
	if lo >= hi {
		return hi, false
	}
	if p := int(n.prefix); p > 0 {
		switch c := bytes.Compare(key[:min(p, len(key))], n.key(lo)[:p]); {
		case c > 0:
			return hi, false
		case c < 0:
			return lo, false
		}
		key = key[p:]
	}
	h := head(key)
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		mh := n.slots[m].head
		if mh == h {
			c := bytes.Compare(n.key(m)[n.prefix:], key)
			if c == 0 {
				return m, true
			}
			if c < 0 {
				lo = m + 1
			} else {
				hi = m
			}
			continue
		}
		if mh < h {
			lo = m + 1
		} else {
			hi = m
		}
	}
	return lo, false
}

// search is find in a leaf.
func (n *mapNode) search(key []byte) (int, bool) { return n.find(0, key) }

// kidOf returns the index of the kid whose range holds key.
func (n *mapNode) kidOf(key []byte) int {
	i, found := n.find(1, key)
	if found {
		return i
	}
	return i - 1
}

// setPrefix makes the prefix n bytes and computes the heads.
func (n *mapNode) setPrefix(p int) {
	n.prefix = uint16(p)
	for i := n.first(); i < len(n.slots); i++ {
		n.slots[i].head = head(n.key(i)[p:])
	}
}

// resetPrefix makes the prefix as long as the keys allow.
func (n *mapNode) resetPrefix() {
	if f, l := n.first(), len(n.slots)-1; f <= l {
		n.setPrefix(commonPrefix(n.key(f), n.key(l)))
	}
}

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

// set is put for a leaf; the totals are the caller's.
func (n *mapNode) set(key, val []byte, del bool) (count, size int) {
	i, found := n.search(key)
	if !found {
		n.addEntry(i, key, val, del)
		return 1, entryBytes(key, val)
	}
	_, old, oldDel := n.entry(i)
	if oldDel == del && len(old) == len(val) {
		copy(old, val)
		return 0, 0
	}
	size = len(val) - len(old)
	n.dead += uint32(entryHeader + len(key) + len(old))
	n.slots = append(n.slots[:i], n.slots[i+1:]...)
	n.addEntry(i, key, val, del)
	return 0, size
}

// addEntry appends an entry to the arena and its slot at i.
func (n *mapNode) addEntry(i int, key, val []byte, del bool) {
	need := entryHeader + len(key) + len(val)
	if int(n.dead) > len(n.arena)/2 && int(n.dead) > 256 {
		n.compact(need)
	}
	sl := slot{off: uint32(len(n.arena))}
	if first := n.first(); i >= first {
		p := len(key)
		if first < len(n.slots) {
			p = commonPrefix(key, n.key(first)[:n.prefix])
		}
		if p != int(n.prefix) {
			n.setPrefix(p)
		}
		sl.head = head(key[p:])
	}
	v := uint32(len(val))
	if del {
		v = delMark
	}
	var h [entryHeader]byte
	binary.LittleEndian.PutUint16(h[:], uint16(len(key)))
	binary.LittleEndian.PutUint32(h[2:], v)
	if n.arena == nil { // a map of one entry is to be small
		n.arena = make([]byte, 0, need)
		n.slots = make([]slot, 0, 2)
	}
	n.arena = append(append(append(n.arena, h[:]...), key...), val...)
	n.slots = append(n.slots, slot{})
	copy(n.slots[i+1:], n.slots[i:])
	n.slots[i] = sl
}

// entrySpan is the raw entry i.
func (n *mapNode) entrySpan(i int) []byte {
	o := int(n.slots[i].off)
	e := o + entryHeader + int(binary.LittleEndian.Uint16(n.arena[o:]))
	if v := binary.LittleEndian.Uint32(n.arena[o+2:]); v != delMark {
		e += int(v)
	}
	return n.arena[o:e]
}

// compact rewrites the arena without the dead bytes, with room for more.
func (n *mapNode) compact(room int) {
	arena := make([]byte, 0, len(n.arena)-int(n.dead)+room)
	for i := range n.slots {
		o := len(arena)
		arena = append(arena, n.entrySpan(i)...)
		n.slots[i].off = uint32(o)
	}
	n.arena, n.dead = arena, 0
	n.resetPrefix()
}

// split moves the upper part of n to a new node: half of the bytes, or only the
// last entry if key, just put, is the highest: keys that come in order leave
// full nodes behind.
func (n *mapNode) split(key []byte) *mapNode {
	last := len(n.slots) - 1
	at := last
	if n.kids != nil {
		if bytes.Compare(key, n.key(last)) < 0 {
			at = len(n.slots) / 2
		}
	} else if !bytes.Equal(n.key(last), key) {
		half := (len(n.arena) - int(n.dead)) / 2
		for at = 0; at < last && half > 0; at++ {
			half -= len(n.entrySpan(at))
		}
		at = max(at, 1)
	}
	r := &mapNode{tok: n.tok}
	r.slots = make([]slot, 0, len(n.slots)-at+8)
	size := 0
	for i := at; i <= last; i++ {
		size += len(n.entrySpan(i))
	}
	r.arena = make([]byte, 0, size+size/4)
	for i := at; i <= last; i++ {
		r.slots = append(r.slots, slot{off: uint32(len(r.arena))})
		r.arena = append(r.arena, n.entrySpan(i)...)
	}
	if n.kids == nil {
		r.count = uint32(len(r.slots))
		r.bytes = size + slotSize*len(r.slots)
	} else {
		r.kids = append(make([]*mapNode, 0, len(n.kids)-at+8), n.kids[at:]...)
		clear(n.kids[at:])
		n.kids = n.kids[:at]
		for _, k := range r.kids {
			r.count += k.count
			r.bytes += k.bytes
		}
	}
	r.resetPrefix()
	n.slots = n.slots[:at]
	n.dead += uint32(size)
	n.count -= r.count
	n.bytes -= r.bytes
	n.compact(len(n.arena) / 8)
	return r
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
