package btree

import (
	"bytes"
	"encoding/binary"
)

// Editor says how to change what nodes hold without changing their shape: no
// length, no offset and no order. Any func may be nil, Key for trees of fixed keys
// only. Package image uses it to
// take names and values out of a copy of a store.
type Editor struct {
	// Key changes a variable key, or the beginning of one, in place. Byte i of
	// the result depends on bytes 0..i alone, and the order of keys stays: then
	// prefixes, fences and separators still fit.
	Key func(key []byte)
	// Owner changes the hint in the header.
	Owner func(own *Owner)
	// Item may change val in place; key is as it was.
	Item func(key, val []byte)
	// Overflow may change the checksums of an overflow value's runs.
	Overflow func(key []byte, ext []BlobExtent)
	// Child returns the checksum a pointer is to have.
	Child func(p Ptr) uint32
}

// Edit changes a node of a tree of the given kind in place and returns its checksum
// before and after. What ParsePage refuses, and a node of another kind, gives an
// error and is left as it is.
func Edit(buf []byte, kind uint8, e *Editor) (was, now uint32, err error) {
	p, err := ParsePage(buf)
	if err != nil {
		return 0, 0, err
	}
	if p.hdr[40] != kind || p.fixedKey == 0 && e.Key == nil {
		return 0, 0, corrupt(p.ptr.Addr, "tree kind", kind, p.hdr[40])
	}
	if e.Owner != nil {
		_, _, own := p.Identity()
		e.Owner(&own)
		copy(buf[41:56], own.Key[:])
	}
	for _, fence := range p.fences() {
		if p.fixedKey == 0 {
			e.Key(fence)
		} else if len(fence) != p.fixedKey {
			clear(fence)
		}
	}
	e.body(&p.body)
	clear(buf[p.end:])
	was, now = p.ptr.CRC, pageCRC(buf)
	binary.LittleEndian.PutUint32(buf[4:], now)
	return was, now, nil
}

func (p *Page) fences() [2][]byte {
	low, high := p.Fences()
	return [2][]byte{low, high}
}

// EditRoot changes the root descriptor at the start of p in place: the checksum
// of its pointer, or its inline page.
func EditRoot(p []byte, e *Editor) error {
	r, _, err := DecodeRoot(p)
	if err != nil {
		return err
	}
	switch r.Kind {
	case RootNode:
		if e.Child != nil {
			binary.LittleEndian.PutUint32(p[rootFixed+16:], e.Child(r.Ptr))
		}
	case RootInline:
		b, err := openInline(r.Inline)
		if err != nil {
			return err
		}
		if b.fixedKey == 0 && e.Key == nil {
			return corrupt(0, "inline item sizes", "fixed keys", "others")
		}
		e.body(&b)
	}
	return nil
}

// body changes items or children, then keys: items are told the key as it was.
func (e *Editor) body(b *body) {
	if b.inner {
		for i := range b.n {
			if at := b.buf[b.vals+i*childBytes:]; e.Child != nil {
				binary.LittleEndian.PutUint32(at[16:], e.Child(decodePtr(at)))
			}
		}
	} else {
		e.items(b)
	}
	if b.fixedKey != 0 {
		return
	}
	if b.numKeys() == 0 {
		e.Key(b.prefix)
		return
	}
	var prefix, key []byte
	for i := range b.numKeys() {
		key = b.appendKey(key[:0], i)
		e.Key(key)
		suffix := key[len(b.prefix):]
		copy(b.suffix(i), suffix)
		binary.LittleEndian.PutUint32(b.buf[b.keys+i*slotBytes+4:], head(suffix))
		if i == 0 {
			prefix = bytes.Clone(key[:len(b.prefix)])
		}
	}
	copy(b.prefix, prefix)
}

func (e *Editor) items(b *body) {
	var key []byte
	for i := range b.n {
		key = b.appendKey(key[:0], i)
		val, over := b.value(i)
		switch {
		case !over && e.Item != nil:
			e.Item(key, val)
		case over && e.Overflow != nil:
			ext := overflowExtents(val)
			e.Overflow(key, ext)
			for j := range ext {
				binary.LittleEndian.PutUint32(val[overflowHeader+j*extentBytes+12:], ext[j].CRC)
			}
		}
	}
}
