package btree

import (
	"bytes"
	"encoding/binary"
)

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
	if len(n.arena)+need > cap(n.arena) {
		room := min(2*cap(n.arena), maxArena+maxArena/4)
		n.arena = append(make([]byte, 0, max(room, len(n.arena)+need)), n.arena...)
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
	r.slots = make([]slot, 0, 2*(len(n.slots)-at))
	size := 0
	for i := at; i <= last; i++ {
		size += len(n.entrySpan(i))
	}
	r.arena = make([]byte, 0, 2*size) // it will be full again before it is split
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
	if at == last && int(n.slots[at].off)+size == len(n.arena) { // keys in order: nothing is left in between
		n.arena, n.slots = n.arena[:n.slots[at].off], n.slots[:at]
		n.count -= r.count
		n.bytes -= r.bytes
		n.resetPrefix()
		return r
	}
	n.slots = n.slots[:at]
	n.dead += uint32(size)
	n.count -= r.count
	n.bytes -= r.bytes
	n.compact(len(n.arena) - int(n.dead))
	return r
}
