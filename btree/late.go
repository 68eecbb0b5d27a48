package btree

import (
	"bytes"
	"encoding/binary"
)

// late is what a checkpoint adds to a frozen delta in the order of keys, see
// Tree.AppendFrozen: entries one after the other, in few pieces of memory.
//
// An entry is {key length u16, value length u32, key, value}.
type late struct {
	chunks [][]byte
	last   int // where the last entry of the last chunk begins
	size   int // bytes of all entries
}

const (
	lateLeast = 4 << 10 // bytes of the first chunk
	lateMost  = 256 << 10
)

// add appends an entry, and reports false if key is not above all others.
func (l *late) add(key, val []byte) bool {
	need := entryHeader + len(key) + len(val)
	n := len(l.chunks)
	if n > 0 {
		if last, _ := lateEntry(l.chunks[n-1][l.last:]); bytes.Compare(last, key) >= 0 {
			return false
		}
	}
	if n == 0 || len(l.chunks[n-1])+need > cap(l.chunks[n-1]) {
		room := lateLeast
		if n > 0 {
			room = min(2*cap(l.chunks[n-1]), lateMost)
		}
		l.chunks = append(l.chunks, make([]byte, 0, max(room, need)))
		n++
	}
	c := l.chunks[n-1]
	l.last = len(c)
	c = binary.LittleEndian.AppendUint16(c, uint16(len(key)))
	c = binary.LittleEndian.AppendUint32(c, uint32(len(val)))
	l.chunks[n-1] = append(append(c, key...), val...)
	l.size += need
	return true
}

// lateEntry returns the entry at the beginning of p.
func lateEntry(p []byte) (key, val []byte) {
	k := entryHeader + int(binary.LittleEndian.Uint16(p))
	return p[entryHeader:k], p[k : k+int(binary.LittleEndian.Uint32(p[2:]))]
}

// get looks a key up.
func (l *late) get(key []byte) (val []byte, ok bool) {
	c := lateCursor{l: l}
	if c.seek(key); !c.valid() || !bytes.Equal(c.key(), key) {
		return nil, false
	}
	_, val = c.entry()
	return val, true
}

// lateCursor walks the entries forward. The zero value is not valid.
type lateCursor struct {
	l         *late
	chunk, at int
}

func (c *lateCursor) valid() bool { return c.l != nil && c.chunk < len(c.l.chunks) }

func (c *lateCursor) entry() (key, val []byte) { return lateEntry(c.l.chunks[c.chunk][c.at:]) }

func (c *lateCursor) key() []byte {
	key, _ := c.entry()
	return key
}

func (c *lateCursor) next() {
	key, val := c.entry()
	if c.at += entryHeader + len(key) + len(val); c.at == len(c.l.chunks[c.chunk]) {
		c.chunk, c.at = c.chunk+1, 0
	}
}

// seek moves forward to the first entry not below key.
func (c *lateCursor) seek(key []byte) {
	for c.valid() && c.chunk+1 < len(c.l.chunks) {
		if first, _ := lateEntry(c.l.chunks[c.chunk+1]); bytes.Compare(first, key) > 0 {
			break
		}
		c.chunk, c.at = c.chunk+1, 0
	}
	for c.valid() && bytes.Compare(c.key(), key) < 0 {
		c.next()
	}
}

// changes walks a frozen delta as Reconcile sees it: its entries, and what was
// added late. Of a key that has both the entry counts, unless it is a value of no
// bytes.
type changes struct {
	d    *delta
	ents ocursor
	late lateCursor
	cmp  int // of the keys the two are on; what has come to its end is above
}

func (c *changes) begin(d *delta) {
	c.d = d
	c.ents.seek(&d.ents, nil)
	c.late = lateCursor{l: d.late}
	c.compare()
}

func (c *changes) compare() {
	switch {
	case !c.late.valid():
		c.cmp = -1
	case !c.ents.valid():
		c.cmp = 1
	default:
		c.cmp = bytes.Compare(c.ents.key(), c.late.key())
	}
}

func (c *changes) valid() bool { return c.cmp >= 0 || c.ents.valid() }

func (c *changes) key() []byte {
	if c.cmp > 0 {
		return c.late.key()
	}
	return c.ents.key()
}

func (c *changes) entry() (key, val []byte, del bool) {
	if c.cmp <= 0 {
		key, val, del = c.ents.entry()
	}
	if c.cmp > 0 || c.cmp == 0 && !del && len(val) == 0 {
		key, val = c.late.entry()
	}
	return key, val, del
}

func (c *changes) next() {
	if c.cmp <= 0 {
		c.ents.next()
	}
	if c.cmp >= 0 {
		c.late.next()
	}
	c.compare()
}

// seek moves forward to the first entry not below key.
func (c *changes) seek(key []byte) {
	c.ents.seek(&c.d.ents, key)
	c.late.seek(key)
	c.compare()
}
