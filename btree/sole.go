package btree

import "encoding/binary"

// Sole returns the item of an inline root with eight-byte integers as keys that has no
// other; the value lies in the root.
func (r *Root) Sole() (key uint64, val []byte, ok bool) {
	if r.Kind != RootInline {
		return 0, nil, false
	}
	in, err := openInline(r.Inline)
	if err != nil || in.n != 1 || in.fixedKey != 8 || in.fixedVal >= 0 {
		return 0, nil, false
	}
	val, over := in.value(0)
	return binary.BigEndian.Uint64(in.suffix(0)), val, !over
}

// AppendSole appends the inline page of such a root but for the value, which has to
// follow.
func AppendSole(dst []byte, key uint64) []byte {
	le := binary.LittleEndian
	from := len(dst)
	dst = append(dst, make([]byte, inlineHeader)...)
	p := dst[from:]
	p[0], p[1], p[10] = pageVersion, pageFixedKey, byte(Uint64)
	le.PutUint16(p[2:], 1)
	le.PutUint16(p[6:], 8)
	dst = binary.BigEndian.AppendUint64(dst, key)
	dst = le.AppendUint16(dst, inlineHeader+8+valRefBytes)
	return append(dst, 0, 0)
}
