package btree

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"

	"ebofs/internal/planted"
)

// body is the part a page and an inline root have in common: sorted items after
// a common prefix. It reads buf in place and never changes it.
//
//	prefix | low fence | high fence | keys | values | records
//
// Variable keys: keys are slots of 8 bytes, {record offset u16, length of the
// key after the prefix u15, overflow u1, head u32}; head is the first four bytes
// of the key after the prefix as a big-endian number (stored little-endian), so
// that most of a search is one compare of integers. A record is key then value
// and ends where the next one begins. There is no value column in a leaf.
//
// Fixed keys: keys is a column of whole keys; no prefix. Values are a column of
// fixed size, or of {record offset u16, flags u16} with the values as records.
//
// An inner node of n children has n-1 keys, key i being the lowest key of child
// i+1, and its value column holds the n children.
type body struct {
	buf      []byte
	prefix   []byte
	n        int // items of a leaf, children of an inner node
	keys     int // offset of the slots or the key column
	vals     int // offset of the value column
	recs     int // offset of the first record
	end      int // end of the last record
	fixedKey int // bytes, 0: variable
	fixedVal int // bytes, -1: variable
	inner    bool
}

const (
	slotBytes   = 8
	valRefBytes = 4
	slotOver    = 1 << 15 // in the length of a slot, and in the flags of a value
)

// layout derives the offsets from where the prefix begins. It fails if the
// columns do not fit between there and end.
func (b *body) layout(base, prefixLen, fences int) bool {
	keys := b.n
	if b.inner {
		keys--
	}
	b.keys = base + prefixLen + fences
	if b.fixedKey == 0 {
		b.vals = b.keys + keys*slotBytes
	} else {
		b.vals = b.keys + keys*b.fixedKey
	}
	b.recs = b.vals
	switch {
	case b.inner:
		b.recs += b.n * childBytes
	case b.fixedKey != 0 && b.fixedVal >= 0:
		b.recs += b.n * b.fixedVal
	case b.fixedKey != 0:
		b.recs += b.n * valRefBytes
	}
	if b.recs > b.end || b.end > len(b.buf) {
		return false
	}
	b.prefix = b.buf[base : base+prefixLen]
	return true
}

// numKeys is the number of keys stored.
func (b *body) numKeys() int {
	if b.inner {
		return b.n - 1
	}
	return b.n
}

func (b *body) u16(off int) int { return int(binary.LittleEndian.Uint16(b.buf[off:])) }

// slot returns where record i begins and how long its key is.
func (b *body) slot(i int) (off, klen int) {
	s := b.keys + i*slotBytes
	return b.u16(s), b.u16(s+2) &^ slotOver
}

// recordEnd returns where record i of a column of records (first offset at
// start, one every step bytes) ends.
func (b *body) recordEnd(i, start, step int) int {
	if i+1 < b.numKeys() {
		return b.u16(start + (i+1)*step)
	}
	return b.end
}

// suffix is key i without the prefix.
func (b *body) suffix(i int) []byte {
	if b.fixedKey != 0 {
		o := b.keys + i*b.fixedKey
		return b.buf[o : o+b.fixedKey]
	}
	off, klen := b.slot(i)
	return b.buf[off : off+klen]
}

// appendKey appends key i to dst.
func (b *body) appendKey(dst []byte, i int) []byte {
	return append(append(dst, b.prefix...), b.suffix(i)...)
}

// value returns value i of a leaf, and whether it is an overflow descriptor.
func (b *body) value(i int) (val []byte, over bool) {
	if b.fixedKey == 0 {
		s := b.keys + i*slotBytes
		kl := b.u16(s + 2)
		return b.buf[b.u16(s)+kl&^slotOver : b.recordEnd(i, b.keys, slotBytes)], kl&slotOver != 0
	}
	if b.fixedVal >= 0 {
		o := b.vals + i*b.fixedVal
		return b.buf[o : o+b.fixedVal], false
	}
	s := b.vals + i*valRefBytes
	return b.buf[b.u16(s):b.recordEnd(i, b.vals, valRefBytes)], b.u16(s+2)&slotOver != 0
}

// child returns child i of an inner node.
func (b *body) child(i int) child { return decodeChild(b.buf[b.vals+i*childBytes:]) }

// head is the first four bytes of s as a number, short ones padded with zeros:
// head(a) < head(b) implies a < b.
func head(s []byte) uint32 {
	if len(s) >= 4 {
		return binary.BigEndian.Uint32(s)
	}
	var h uint32
	for i, c := range s {
		h |= uint32(c) << (24 - 8*i)
	}
	return h
}

// search returns the first key not below key, and whether it equals key.
func (b *body) search(key []byte) (int, bool) {
	lo, hi := 0, b.numKeys()
	if b.fixedKey == 8 && len(key) == 8 {
		k := binary.BigEndian.Uint64(key)
		col := b.buf[b.keys:b.vals]
		for lo < hi {
			m := int(uint(lo+hi) >> 1)
			if binary.BigEndian.Uint64(col[m*8:]) < k {
				lo = m + 1
			} else {
				hi = m
			}
		}
		return lo, lo < b.numKeys() && binary.BigEndian.Uint64(col[lo*8:]) == k
	}
	if b.fixedKey != 0 {
		for lo < hi {
			m := int(uint(lo+hi) >> 1)
			if bytes.Compare(b.suffix(m), key) < 0 {
				lo = m + 1
			} else {
				hi = m
			}
		}
		return lo, lo < b.numKeys() && bytes.Equal(b.suffix(lo), key)
	}
	if p := len(b.prefix); p > 0 {
		switch c := bytes.Compare(key[:min(p, len(key))], b.prefix); {
		case c > 0:
			return hi, false
		case c < 0: // also a key that is shorter than the prefix
			return 0, false
		}
		key = key[p:]
	}
	h := head(key)
	slots := b.buf[b.keys:b.vals]
	for lo < hi {
		m := int(uint(lo+hi) >> 1)
		s := slots[m*slotBytes : m*slotBytes+slotBytes]
		mh := binary.LittleEndian.Uint32(s[4:])
		if mh == h {
			off := int(binary.LittleEndian.Uint16(s))
			kl := int(binary.LittleEndian.Uint16(s[2:]) &^ slotOver)
			c := bytes.Compare(b.buf[off:off+kl], key)
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

// childOf returns the index of the child whose range holds key.
func (b *body) childOf(key []byte) int {
	i, found := b.search(key)
	if found && !planted.On(planted.WrongFence) {
		return i + 1
	}
	return i
}

// checkRecords bounds every offset, so that the accessors above cannot leave
// buf whatever the bytes are. It does not look at the order of the keys.
func (b *body) checkRecords(addr uint64) error {
	if b.fixedKey == 0 {
		return b.checkSlots(addr)
	}
	if b.inner || b.fixedVal >= 0 {
		if b.end != b.recs {
			return corrupt(addr, "end of columns", b.recs, b.end)
		}
		return nil
	}
	at := b.recs
	for i := range b.n {
		s := b.vals + i*valRefBytes
		off, flags, end := b.u16(s), b.u16(s+2), b.recordEnd(i, b.vals, valRefBytes)
		if off != at || end < off || end > b.end || flags&^slotOver != 0 {
			return corrupt(addr, fmt.Sprint("value ", i), fmt.Sprint("at ", at), fmt.Sprintf("%d..%d flags %#x", off, end, flags))
		}
		if flags&slotOver != 0 {
			if _, _, err := decodeOverflow(b.buf[off:end]); err != nil {
				return corrupt(addr, fmt.Sprint("value ", i), "an overflow descriptor", err)
			}
		}
		at = end
	}
	if at != b.end {
		return corrupt(addr, "end of records", b.end, at)
	}
	return nil
}

func (b *body) checkSlots(addr uint64) error {
	at := b.recs
	for i := range b.numKeys() {
		s := b.keys + i*slotBytes
		off, kl, end := b.u16(s), b.u16(s+2), b.recordEnd(i, b.keys, slotBytes)
		over := kl&slotOver != 0
		kl &^= slotOver
		if off != at || end > b.end || off+kl > end || len(b.prefix)+kl > MaxKeyBytes {
			return corrupt(addr, fmt.Sprint("slot ", i), fmt.Sprint("at ", at), fmt.Sprintf("%d..%d key %d", off, end, kl))
		}
		if want := head(b.buf[off : off+kl]); binary.LittleEndian.Uint32(b.buf[s+4:]) != want {
			return corrupt(addr, fmt.Sprint("head of slot ", i), want, binary.LittleEndian.Uint32(b.buf[s+4:]))
		}
		vl := end - off - kl
		switch {
		case b.inner && (vl != 0 || over), !b.inner && b.fixedVal >= 0 && (vl != b.fixedVal || over):
			return corrupt(addr, fmt.Sprint("value ", i), fmt.Sprint(max(b.fixedVal, 0), " bytes"), vl)
		case over:
			if _, _, err := decodeOverflow(b.buf[end-vl : end]); err != nil {
				return corrupt(addr, fmt.Sprint("value ", i), "an overflow descriptor", err)
			}
		}
		at = end
	}
	if at != b.end {
		return corrupt(addr, "end of records", b.end, at)
	}
	return nil
}

// checkOrder compares every key with the next one.
func (b *body) checkOrder(addr uint64) error {
	for i := 1; i < b.numKeys(); i++ {
		if bytes.Compare(b.suffix(i-1), b.suffix(i)) >= 0 {
			return corrupt(addr, fmt.Sprint("key ", i), fmt.Sprintf("above %x", b.suffix(i-1)), fmt.Sprintf("%x", b.suffix(i)))
		}
	}
	return nil
}

// itemBytes is what item i of a leaf counts in Root.Bytes.
func (b *body) itemBytes(i int) uint64 {
	val, over := b.value(i)
	n := uint64(len(b.prefix) + len(b.suffix(i)))
	if over {
		return n + overflowSize(val)
	}
	return n + uint64(len(val))
}

// commonPrefix is the length of the longest common prefix of a and b.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if d := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); d != 0 {
			return i + bits.TrailingZeros64(d)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
