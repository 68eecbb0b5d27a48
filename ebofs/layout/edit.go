package layout

import (
	"fmt"

	"ebofs/btree"
)

// What follows changes encoded structures in place, without changing a length, so
// that a copy of a store can be made that holds no names and no contents (package
// image). The caller makes checksums right.

// ValueEditor says what to do with the parts of an encoded value.
type ValueEditor struct {
	Root  func(kind TreeKind, descriptor []byte) error
	Bytes func(p []byte) // contents: omap header, inline data, sections of newer versions
	CRC   uint32         // what checksums of data become
}

// EditValue changes an onode, cnode or trash record. An error says that p is none,
// as its decoder would.
func EditValue(p []byte, e *ValueEditor) error {
	if len(p) == 0 {
		return truncated("value", "type", 0, 1)
	}
	var q []byte // its sections
	var err error
	roots := map[uint8]TreeKind{}
	contents := func(tag uint8) bool { return true }
	switch p[0] {
	case 'O':
		var o Onode
		if err = o.Decode(p); err == nil {
			q, err = o.fixed(p)
		}
		roots[secOnodeAttrs], roots[secOnodeOmap], roots[secOnodeExtents] = TreeAttrs, TreeOmap, TreeExtents
		contents = func(tag uint8) bool { return tag != secOnodeHint }
	case 'K':
		if _, err = DecodeCnode(p); err == nil {
			q = p[valueHeader+cnodeFixed:]
		}
		roots[secAttrs] = TreeAttrs
	case 'T':
		if _, err = DecodeTrash(p); err == nil {
			q = p[valueHeader+trashFixed:]
		}
		roots[secTrashAttrs], roots[secTrashOmap], roots[secTrashExtents] = TreeAttrs, TreeOmap, TreeExtents
	default:
		err = malformed("value", "type", p[0], "onode, cnode or trash")
	}
	if err != nil {
		return err
	}
	last := 0
	for len(q) > 0 {
		tag, body, _, rest, err := nextSection("value", last, q)
		if err != nil {
			return err
		}
		kind, ok := roots[tag]
		switch {
		case ok:
			if err := e.Root(kind, body); err != nil {
				return err
			}
		case p[0] == 'O' && tag == secOnodeRun:
			setCRCs(runCRCs(body), e.CRC)
		case contents(tag):
			e.Bytes(body)
		}
		last, q = int(tag), rest
	}
	return nil
}

// EditRootRecord changes the roots in an encoded root record, header included, and
// clears sections of newer versions.
func EditRootRecord(p []byte, root func(kind TreeKind, descriptor []byte) error) error {
	h, err := DecodeHeader(p)
	if err != nil {
		return err
	}
	q := p[HeaderBytes:h.Length]
	if h.Kind != KindRootRecord {
		return fmt.Errorf("%v: not a root record: %w", h.Kind, ErrInvalid)
	}
	if _, err := decodeRootBody(q); err != nil {
		return err
	}
	last := 0
	for q = q[rootFixed:]; len(q) > 0; {
		tag, body, _, rest, err := nextSection("root record", last, q)
		if err != nil {
			return err
		}
		switch {
		case tag == secRoots:
			err = editRoots(body, root)
		case tag > secCounters:
			clear(body)
		}
		if err != nil {
			return err
		}
		last, q = int(tag), rest
	}
	return nil
}

func editRoots(p []byte, root func(TreeKind, []byte) error) error {
	for len(p) > 0 {
		desc := p[1:]
		_, rest, err := btree.DecodeRoot(desc)
		if err != nil {
			return err
		}
		if err := root(TreeKind(p[0]), desc[:len(desc)-len(rest)]); err != nil {
			return err
		}
		p = rest
	}
	return nil
}

// SetChunkCRCs gives every block of an encoded chunk the same checksum.
func SetChunkCRCs(p []byte, crc uint32) error {
	if err := ChunkRuns(p, func(*Run) bool { return true }); err != nil {
		return err
	}
	setCRCs(p[chunkHeader+int(p[4])*chunkRun:], crc)
	return nil
}

func setCRCs(p []byte, crc uint32) {
	for ; len(p) >= 4; p = p[4:] {
		le.PutUint32(p, crc)
	}
}

// EditCopy changes a label or superblock in place: unless text is 0, the text is
// replaced by as many bytes of it, the features in incompat are added to a superblock, and, if root is
// not nil, it tells what checksum the pointer to the root record is to have. The
// checksum stays right or wrong as it was. It reports false, and changes nothing, if
// p is neither by its magic.
func EditCopy(p []byte, text byte, incompat uint64, root func(Ref) uint32) bool {
	at, n := 0, MaxLabelText
	switch string(p[:8]) {
	case labelMagic:
		at = 112
	case superMagic:
		at = 232
	default:
		return false
	}
	off := CRC(p[12:BlockSize]) ^ le.Uint32(p[8:])
	for i := range p[at : at+n] {
		if p[at+i] != 0 && text != 0 {
			p[at+i] = text
		}
	}
	if at == 232 {
		le.PutUint64(p[160:], le.Uint64(p[160:])|incompat)
		if root != nil {
			le.PutUint32(p[168+16:], root(getRef(p[168:])))
		}
	}
	le.PutUint32(p[8:], CRC(p[12:BlockSize])^off)
	return true
}
