package btree

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"ebofs/internal/planted"
)

// The header of a node.
//
//	off len field      little-endian; golden: testdata/golden
//	  0   4 magic      "EBTN"
//	  4   4 crc        CRC-32C of the whole page with this field zero
//	  8   1 type       1 leaf, 2 inner
//	  9   1 version    1
//	 10   1 level      0 = leaf
//	 11   1 blocks     1..16
//	 12   2 flags      pageSet, pageFixedKey, pageFixedVal, pageOverflow
//	 14   2 comparator
//	 16   8 fsid       low half of the store's id
//	 24   8 address    its own
//	 32   8 epoch      in which it was written
//	 40   1 tree kind
//	 41  15 owner key
//	 56   8 owner id
//	 64   4 items      of a leaf; children of an inner node
//	 68   2 prefix length
//	 70   2 low fence offset
//	 72   2 low fence length    0: from the first key there may be
//	 74   2 high fence offset
//	 76   2 high fence length   0: to the last key there may be
//	 78   2 keys offset
//	 80   2 values offset
//	 82   2 fixed key bytes
//	 84   2 fixed value bytes
//	 86   2 end of the last record
//	 88   8 zero
//	 96     prefix, low fence, high fence, keys, values, records; zero to the end
const (
	pageMagic   = "EBTN"
	pageVersion = 1
	headerBytes = 96
	typeLeaf    = 1
	typeInner   = 2
)

// Flags in the header of a page.
const (
	pageSet      = 1 << 0 // keys only
	pageFixedKey = 1 << 1
	pageFixedVal = 1 << 2
	pageOverflow = 1 << 3 // an item of this leaf, or of a leaf below, is an overflow value

	pageFlags = pageSet | pageFixedKey | pageFixedVal | pageOverflow
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// pageCRC is the checksum of a page as its header holds it.
func pageCRC(p []byte) uint32 {
	var zero [4]byte
	c := crc32.Update(0, castagnoli, p[:4])
	c = crc32.Update(c, castagnoli, zero[:])
	return crc32.Update(c, castagnoli, p[8:])
}

// Page is one node, checked and immutable. A Loader hands it out pinned; the
// receiver calls Release once and does not touch it afterwards.
type Page struct {
	body
	ptr   Ptr // as the header describes it; Flags only PtrOverflow
	hdr   []byte
	frame *frame // its place in a Cache; nil: garbage collected
}

// Release gives the page back to whoever loaded it.
func (p *Page) Release() {
	if p.frame != nil {
		p.frame.unpin()
	}
}

// PeekBlocks returns how many blocks the node takes that seems to begin with head,
// its first block, at addr; 0 if none seems to.
func PeekBlocks(head []byte, addr uint64) int {
	if len(head) < headerBytes || string(head[:4]) != pageMagic || binary.LittleEndian.Uint64(head[24:]) != addr {
		return 0
	}
	if n := int(head[11]); n <= MaxPageBytes/blockBytes {
		return n
	}
	return 0
}

// ParsePage checks that buf is a well-formed node: checksum, version, and every
// offset in bounds. It knows nothing of the tree: see Check. The page aliases
// buf, which must not change any more.
func ParsePage(buf []byte) (*Page, error) {
	p := new(Page)
	if err := p.parse(buf, 0); err != nil {
		return nil, err
	}
	return p, nil
}

// parse is ParsePage into p; addr names the page in errors.
func (p *Page) parse(buf []byte, addr uint64) error {
	if len(buf) < blockBytes || len(buf) > MaxPageBytes || len(buf)%blockBytes != 0 {
		return corrupt(addr, "page size", "1..16 blocks", fmt.Sprint(len(buf), " bytes"))
	}
	if string(buf[:4]) != pageMagic {
		return corrupt(addr, "magic", fmt.Sprintf("%q", pageMagic), fmt.Sprintf("%q", buf[:4]))
	}
	le := binary.LittleEndian
	crc := le.Uint32(buf[4:])
	if got := pageCRC(buf); got != crc && !planted.On(planted.NodeCRC) {
		return corrupt(addr, "crc", fmt.Sprintf("%08x", crc), fmt.Sprintf("%08x", got))
	}
	if buf[9] != pageVersion {
		return fmt.Errorf("node version %d: %w", buf[9], ErrUnsupported)
	}
	p.hdr = buf[:headerBytes]
	p.ptr = Ptr{Addr: le.Uint64(buf[24:]), Epoch: le.Uint64(buf[32:]), CRC: crc, Blocks: buf[11], Level: buf[10]}
	flags := int(le.Uint16(buf[12:]))
	if flags&pageOverflow != 0 {
		p.ptr.Flags = PtrOverflow
	}
	p.body = body{
		buf:      buf,
		n:        int(le.Uint32(buf[64:])),
		end:      p.u16at(buf, 86),
		fixedKey: p.u16at(buf, 82),
		fixedVal: p.u16at(buf, 84),
		inner:    buf[8] == typeInner,
	}
	if flags&(pageSet|pageFixedVal) == 0 {
		p.fixedVal = -1
	}
	plen := p.u16at(buf, 68)
	lowOff, lowLen, highOff, highLen := p.u16at(buf, 70), p.u16at(buf, 72), p.u16at(buf, 74), p.u16at(buf, 76)
	switch {
	case buf[8] != typeLeaf && buf[8] != typeInner, p.inner != (p.ptr.Level != 0), p.ptr.Level > maxLevel:
		return corrupt(addr, "type and level", "a leaf at 0 or an inner node above", fmt.Sprintf("type %d level %d", buf[8], p.ptr.Level))
	case int(p.ptr.Blocks)*blockBytes != len(buf):
		return corrupt(addr, "blocks", len(buf)/blockBytes, p.ptr.Blocks)
	case flags&^pageFlags != 0,
		(flags&pageFixedKey != 0) != (p.fixedKey != 0),
		flags&pageSet != 0 && p.fixedVal != 0,
		flags&pageFixedVal == 0 && p.fixedVal > 0,
		flags&pageFixedVal == 0 && p.u16at(buf, 84) != 0:
		return corrupt(addr, "flags", "flags that agree with the sizes", fmt.Sprintf("%#x key %d value %d", flags, p.fixedKey, p.u16at(buf, 84)))
	case le.Uint16(buf[14:]) > uint16(Uint64):
		return fmt.Errorf("comparator %d: %w", le.Uint16(buf[14:]), ErrUnsupported)
	case p.n < 1 || p.n > len(buf):
		return corrupt(addr, "items", "at least 1", p.n)
	case p.fixedKey != 0 && plen != 0, plen > MaxKeyBytes, lowLen > MaxKeyBytes, highLen > MaxKeyBytes:
		return corrupt(addr, "prefix and fences", "at most 4000 bytes each", fmt.Sprintf("%d, %d, %d bytes", plen, lowLen, highLen))
	case lowOff != headerBytes+plen, highOff != lowOff+lowLen:
		return corrupt(addr, "fences", headerBytes+plen, fmt.Sprintf("at %d and %d", lowOff, highOff))
	case !p.layout(headerBytes, plen, lowLen+highLen), p.keys != p.u16at(buf, 78), p.vals != p.u16at(buf, 80):
		return corrupt(addr, "columns", "inside the page", fmt.Sprintf("keys at %d, values at %d, end %d", p.u16at(buf, 78), p.u16at(buf, 80), p.end))
	}
	if err := p.checkRecords(addr); err != nil {
		return err
	}
	return p.checkRest(addr, flags)
}

// checkRest looks at children and padding.
func (p *Page) checkRest(addr uint64, flags int) error {
	over := false
	if p.inner {
		for i := range p.n {
			c := p.child(i).ptr
			if err := c.check(addr); err != nil {
				return err
			}
			if c.Level != p.ptr.Level-1 {
				return corrupt(addr, fmt.Sprint("level of child ", i), p.ptr.Level-1, c.Level)
			}
			over = over || c.Flags&PtrOverflow != 0
		}
		if over != (flags&pageOverflow != 0) {
			return corrupt(addr, "overflow flag", over, !over)
		}
	}
	for i, c := range p.hdr[88:] {
		if c != 0 {
			return corrupt(addr, fmt.Sprint("byte ", 88+i), 0, c)
		}
	}
	return nil
}

func (p *Page) u16at(buf []byte, off int) int { return int(binary.LittleEndian.Uint16(buf[off:])) }

// Check compares the page with what its parent, its tree and its holder say of
// it: a misdirected or lost write, or a page of another tree, is whole in
// itself and shows only here. An Owner of zero ID skips the owner.
func (p *Page) Check(cfg *Config, own *Owner, want Ptr) error {
	le := binary.LittleEndian
	flags := le.Uint16(p.hdr[12:])
	switch got := p.ptr; {
	case got.Addr != want.Addr:
		return corrupt(want.Addr, "self address", fmt.Sprintf("%#x", want.Addr), fmt.Sprintf("%#x", got.Addr))
	case got.Epoch != want.Epoch:
		return corrupt(want.Addr, "epoch", want.Epoch, got.Epoch)
	case got.CRC != want.CRC:
		return corrupt(want.Addr, "crc", fmt.Sprintf("%08x as the parent says", want.CRC), fmt.Sprintf("%08x", got.CRC))
	case got.Blocks != want.Blocks || got.Level != want.Level:
		return corrupt(want.Addr, "blocks and level", fmt.Sprint(want.Blocks, " ", want.Level), fmt.Sprint(got.Blocks, " ", got.Level))
	case got.Flags != want.Flags&PtrOverflow:
		return corrupt(want.Addr, "overflow flag", want.Flags&PtrOverflow, got.Flags)
	case le.Uint64(p.hdr[16:]) != cfg.FSID:
		return corrupt(want.Addr, "fsid", fmt.Sprintf("%016x", cfg.FSID), fmt.Sprintf("%016x", le.Uint64(p.hdr[16:])))
	case p.hdr[40] != cfg.Kind:
		return corrupt(want.Addr, "tree kind", cfg.Kind, p.hdr[40])
	case own.ID != 0 && own.ID != le.Uint64(p.hdr[56:]):
		return corrupt(want.Addr, "owner", own.ID, le.Uint64(p.hdr[56:]))
	case le.Uint16(p.hdr[14:]) != uint16(cfg.Cmp):
		return corrupt(want.Addr, "comparator", cfg.Cmp, le.Uint16(p.hdr[14:]))
	case p.fixedKey != cfg.FixedKey || p.fixedVal != cfg.fixedVal() || flags&pageSet != 0 != cfg.Set:
		return corrupt(want.Addr, "item sizes", fmt.Sprint("key ", cfg.FixedKey, " value ", cfg.fixedVal()), fmt.Sprint("key ", p.fixedKey, " value ", p.fixedVal))
	}
	return nil
}

// Ptr describes the page as its own header does.
func (p *Page) Ptr() Ptr { return p.ptr }

// Level is the distance from the leaves.
func (p *Page) Level() int { return int(p.ptr.Level) }

// Len is the number of items of a leaf or of children of an inner node.
func (p *Page) Len() int { return p.n }

// AppendKey appends key i to dst: of a leaf item i, of an inner node the lowest
// key of child i+1.
func (p *Page) AppendKey(dst []byte, i int) []byte { return p.appendKey(dst, i) }

// Value returns value i of a leaf; overflow says that it is a descriptor.
func (p *Page) Value(i int) (val []byte, overflow bool) { return p.value(i) }

// Child returns child i of an inner node and the totals below it.
func (p *Page) Child(i int) (ptr Ptr, count, bytes uint64) {
	c := p.child(i)
	return c.ptr, c.count, c.bytes
}

// Fences returns the range the page was built for; an empty one is unbounded.
// What the parent routes here may be wider, never narrower.
func (p *Page) Fences() (low, high []byte) {
	le := binary.LittleEndian
	l, ln := int(le.Uint16(p.hdr[70:])), int(le.Uint16(p.hdr[72:]))
	h, hn := int(le.Uint16(p.hdr[74:])), int(le.Uint16(p.hdr[76:]))
	return p.buf[l : l+ln], p.buf[h : h+hn]
}

// Used is the number of bytes that are not padding.
func (p *Page) Used() int { return p.end }

// Identity returns what the header says of where the page belongs.
func (p *Page) Identity() (fsid uint64, kind uint8, own Owner) {
	copy(own.Key[:], p.hdr[41:56])
	own.ID = binary.LittleEndian.Uint64(p.hdr[56:])
	return binary.LittleEndian.Uint64(p.hdr[16:]), p.hdr[40], own
}

// The inline form: a leaf without header, inside a Root.
//
//	off len field   little-endian
//	  0   1 version  1
//	  1   1 flags    as in a page
//	  2   2 items
//	  4   2 prefix length
//	  6   2 fixed key bytes
//	  8   2 fixed value bytes
//	 10   1 comparator
//	 11   1 zero
//	 12     prefix, keys, values, records; nothing behind
const inlineHeader = 12

// openInline finds the columns of an inline page; it does not check records.
func openInline(b []byte) (body, error) {
	if len(b) < inlineHeader || len(b) > MaxPageBytes {
		return body{}, corrupt(0, "inline page", "12 bytes or more", len(b))
	}
	if b[0] != pageVersion || b[10] > byte(Uint64) {
		return body{}, fmt.Errorf("inline page version %d comparator %d: %w", b[0], b[10], ErrUnsupported)
	}
	le := binary.LittleEndian
	in := body{buf: b, n: int(le.Uint16(b[2:])), end: len(b), fixedKey: int(le.Uint16(b[6:])), fixedVal: int(le.Uint16(b[8:]))}
	flags, plen := int(b[1]), int(le.Uint16(b[4:]))
	if flags&^pageFlags != 0 || b[11] != 0 ||
		(flags&pageFixedKey != 0) != (in.fixedKey != 0) || flags&pageFixedVal == 0 && in.fixedVal != 0 ||
		flags&pageSet != 0 && in.fixedVal != 0 {
		return body{}, corrupt(0, "inline flags", "flags that agree with the sizes", fmt.Sprintf("%#x", flags))
	}
	if flags&(pageSet|pageFixedVal) == 0 {
		in.fixedVal = -1
	}
	if in.n == 0 || plen > MaxKeyBytes || in.fixedKey != 0 && plen != 0 || !in.layout(inlineHeader, plen, 0) {
		return body{}, corrupt(0, "inline page", "columns inside it", fmt.Sprintf("%d items, prefix %d, %d bytes", in.n, plen, len(b)))
	}
	return in, nil
}

// openInlineOf is openInline for a tree of kind cfg.
func openInlineOf(cfg *Config, b []byte) (body, error) {
	in, err := openInline(b)
	if err == nil && (in.fixedKey != cfg.FixedKey || in.fixedVal != cfg.fixedVal() || Comparator(b[10]) != cfg.Cmp) {
		err = corrupt(0, "inline item sizes", fmt.Sprint("key ", cfg.FixedKey, " value ", cfg.fixedVal()), fmt.Sprint("key ", in.fixedKey, " value ", in.fixedVal))
	}
	return in, err
}
