package btree

import (
	"encoding/binary"
	"hash/crc32"
)

// records are sorted items on their way into a page: of a leaf, or of an inner
// node, where a key is the lowest of its child and a value an encoded child.
type records struct {
	arena []byte // keys and values, in order
	recs  []rec
}

// rec is one item: key then value at off of the arena.
type rec struct {
	off  int
	vl   int
	kl   uint16
	lcp  uint16 // length of the prefix in common with the key before; 0 for the first
	over bool   // the value is an overflow descriptor, or reaches one
	old  bool   // a child that was on media before
}

func (r *records) reset() { r.arena, r.recs = r.arena[:0], r.recs[:0] }

func (r *records) key(i int) []byte {
	e := &r.recs[i]
	return r.arena[e.off : e.off+int(e.kl)]
}

func (r *records) val(i int) []byte {
	e := &r.recs[i]
	o := e.off + int(e.kl)
	return r.arena[o : o+e.vl]
}

// add appends an item whose key is above all others.
func (r *records) add(key, val []byte, over bool) {
	off := len(r.arena)
	r.arena = append(append(r.arena, key...), val...)
	r.added(off, len(key), len(val), over)
}

// addFrom is add for item i of a leaf.
func (r *records) addFrom(b *body, i int) {
	off := len(r.arena)
	r.arena = append(append(r.arena, b.prefix...), b.suffix(i)...)
	kl := len(r.arena) - off
	val, over := b.value(i)
	r.arena = append(r.arena, val...)
	r.added(off, kl, len(val), over)
}

func (r *records) added(off, kl, vl int, over bool) {
	e := rec{off: off, kl: uint16(kl), vl: vl, over: over}
	if n := len(r.recs); n > 0 {
		e.lcp = uint16(commonPrefix(r.key(n-1), r.arena[off:off+kl]))
	}
	r.recs = append(r.recs, e)
}

// drop removes the first n items.
func (r *records) drop(n int) {
	if n == len(r.recs) {
		r.reset()
		return
	}
	cut := r.recs[n].off
	r.arena = r.arena[:copy(r.arena, r.arena[cut:])]
	r.recs = r.recs[:copy(r.recs, r.recs[n:])]
	for i := range r.recs {
		r.recs[i].off -= cut
	}
	r.recs[0].lcp = 0
}

// pageSize is the running size of a page that takes items from the start of a
// run of records.
type pageSize struct {
	inner              bool
	fixedKey, fixedVal int
	low                int // bytes of the low fence

	n       int // items so far
	keys    int // bytes of the keys stored
	vals    int // bytes of the values
	prefix  int // common to the keys stored; huge while there is at most one
	lastLen int
}

// add counts one more item.
func (s *pageSize) add(e *rec) {
	s.n++
	s.vals += e.vl
	s.lastLen = int(e.kl)
	if s.inner && s.n == 1 {
		s.prefix = MaxKeyBytes
		return // the lowest key of the first child is not stored
	}
	s.keys += int(e.kl)
	first := 1
	if s.inner {
		first = 2
	}
	if s.n == first {
		s.prefix = int(e.kl)
	} else {
		s.prefix = min(s.prefix, int(e.lcp))
	}
}

// numKeys is the number of keys stored.
func (s *pageSize) numKeys() int {
	if s.inner {
		return s.n - 1
	}
	return s.n
}

// prefixLen is the prefix the page will have.
func (s *pageSize) prefixLen() int {
	if s.fixedKey != 0 || s.numKeys() == 0 {
		return 0
	}
	return s.prefix
}

// body is the size of everything behind the fences.
func (s *pageSize) body() int {
	k := s.numKeys()
	switch {
	case s.fixedKey == 0:
		return s.prefixLen() + s.keys - k*s.prefixLen() + k*slotBytes + s.vals
	case !s.inner && s.fixedVal < 0:
		return s.keys + s.vals + s.n*valRefBytes
	}
	return s.keys + s.vals
}

// page is the size of the page if its high fence has high bytes.
func (s *pageSize) page(high int) int { return headerBytes + s.low + high + s.body() }

// inline is the size of the inline form.
func (s *pageSize) inline() int { return inlineHeader + s.body() }

// separator returns the shortest key above record i-1 and not above record i.
func (r *records) separator(i int, fixed bool) []byte {
	k := r.key(i)
	if fixed {
		return k
	}
	return k[:int(r.recs[i].lcp)+1]
}

// totals are what the first n items add to their parent's counts.
func (r *records) totals(n int, inner bool) (count, size uint64, over bool) {
	for i := range n {
		e := &r.recs[i]
		over = over || e.over
		switch {
		case inner:
			c := decodeChild(r.val(i))
			count += c.count
			size += c.bytes
		case e.over:
			count++
			size += uint64(e.kl) + overflowSize(r.val(i))
		default:
			count++
			size += uint64(e.kl) + uint64(e.vl)
		}
	}
	return count, size, over
}

// columns writes the first s.n items to p, of which at is the first byte behind
// the prefix and the fences, and returns where they end.
func (r *records) columns(p []byte, at int, s *pageSize) (end int) {
	le := binary.LittleEndian
	first := s.n - s.numKeys() // 1 if the first key is not stored
	keys, pl := at, s.prefixLen()
	vals := keys
	if s.fixedKey == 0 {
		vals += s.numKeys() * slotBytes
	} else {
		vals += s.numKeys() * s.fixedKey
	}
	end = vals
	switch {
	case s.inner:
		end += s.n * childBytes
	case s.fixedKey != 0 && s.fixedVal >= 0:
		end += s.n * s.fixedVal
	case s.fixedKey != 0:
		end += s.n * valRefBytes
	}
	for i := range s.n {
		e := &r.recs[i]
		flag := 0
		if e.over && !s.inner {
			flag = slotOver
		}
		if i >= first {
			k := r.key(i)
			if s.fixedKey != 0 {
				copy(p[keys:], k)
				keys += s.fixedKey
			} else {
				k = k[pl:]
				le.PutUint16(p[keys:], uint16(end))
				le.PutUint16(p[keys+2:], uint16(len(k)|flag))
				le.PutUint32(p[keys+4:], head(k))
				keys += slotBytes
				end += copy(p[end:], k)
			}
		}
		switch {
		case s.inner || s.fixedKey != 0 && s.fixedVal >= 0:
			vals += copy(p[vals:], r.val(i))
		case s.fixedKey != 0:
			le.PutUint16(p[vals:], uint16(end))
			le.PutUint16(p[vals+2:], uint16(flag))
			vals += valRefBytes
			end += copy(p[end:], r.val(i))
		default:
			end += copy(p[end:], r.val(i))
		}
	}
	return end
}

// formFlags are the flags that say how items are laid out.
func formFlags(cfg *Config) int {
	f := 0
	if cfg.Set {
		f |= pageSet
	}
	if cfg.FixedKey != 0 {
		f |= pageFixedKey
	}
	if cfg.FixedVal != 0 {
		f |= pageFixedVal
	}
	return f
}

// pageHead is what a header says beyond the items.
type pageHead struct {
	level     int
	addr      uint64
	epoch     uint64
	low, high []byte
	over      bool
}

// encodePage writes the first s.n items as a page to p, which is zero and a
// whole number of blocks, and returns the pointer to it.
func (r *records) encodePage(p []byte, cfg *Config, own *Owner, s *pageSize, h *pageHead) Ptr {
	le := binary.LittleEndian
	typ, flags := byte(typeLeaf), formFlags(cfg)
	if s.inner {
		typ = typeInner
	}
	ptr := Ptr{Addr: h.addr, Epoch: h.epoch, Blocks: uint8(len(p) / blockBytes), Level: uint8(h.level)}
	if h.over {
		flags |= pageOverflow
		ptr.Flags |= PtrOverflow
	}
	copy(p, pageMagic)
	p[8], p[9], p[10], p[11] = typ, pageVersion, ptr.Level, ptr.Blocks
	le.PutUint16(p[12:], uint16(flags))
	le.PutUint16(p[14:], uint16(cfg.Cmp))
	le.PutUint64(p[16:], cfg.FSID)
	le.PutUint64(p[24:], h.addr)
	le.PutUint64(p[32:], h.epoch)
	p[40] = cfg.Kind
	copy(p[41:56], own.Key[:])
	le.PutUint64(p[56:], own.ID)
	le.PutUint32(p[64:], uint32(s.n))

	pl := s.prefixLen()
	if pl > 0 {
		copy(p[headerBytes:], r.key(s.n - 1)[:pl])
	}
	low, high := headerBytes+pl, headerBytes+pl+len(h.low)
	copy(p[low:], h.low)
	copy(p[high:], h.high)
	keys := high + len(h.high)
	vals := keys + s.numKeys()*slotBytes
	if s.fixedKey != 0 {
		vals = keys + s.numKeys()*s.fixedKey
	}
	end := r.columns(p, keys, s)
	for i, v := range []int{pl, low, len(h.low), high, len(h.high), keys, vals, cfg.FixedKey, cfg.FixedVal, end} {
		le.PutUint16(p[68+2*i:], uint16(v))
	}
	ptr.CRC = crc32.Checksum(p, castagnoli)
	le.PutUint32(p[4:], ptr.CRC)
	return ptr
}

// encodeInline returns all items in the inline form.
func (r *records) encodeInline(cfg *Config, s *pageSize, over bool) []byte {
	le := binary.LittleEndian
	p := make([]byte, s.inline())
	flags := formFlags(cfg)
	if over {
		flags |= pageOverflow
	}
	pl := s.prefixLen()
	p[0], p[1], p[10] = pageVersion, byte(flags), byte(cfg.Cmp)
	for i, v := range []int{s.n, pl, cfg.FixedKey, cfg.FixedVal} {
		le.PutUint16(p[2+2*i:], uint16(v))
	}
	if pl > 0 {
		copy(p[inlineHeader:], r.key(0)[:pl])
	}
	r.columns(p, inlineHeader+pl, s)
	return p
}
