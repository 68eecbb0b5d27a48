package layout

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"ebofs/btree"
)

// Most objects are small, and their extents are one chunk of one run: 71 bytes of a root
// descriptor that has an inline page that has a chunk. Section 7 of an onode has the
// fifth of that, and says the same.

const (
	extentsKey    = 8
	maxRunSection = 2*binary.MaxVarintLen64 + 3 + 4*ChunkBlocks
)

// appendRun appends section 7 of an onode with these extents to dst, which is empty;
// nil if they are not such ones.
func appendRun(dst []byte, r *btree.Root) []byte {
	k, val, ok := r.Sole()
	if !ok || len(val) < chunkHeader+chunkRun {
		return nil
	}
	q := val[chunkHeader:]
	dst = binary.AppendUvarint(dst, k)
	dst = append(dst, q[0], q[1], q[2])
	dst = binary.AppendUvarint(dst, le.Uint64(q[8:]))
	if len(dst)+len(q)-chunkRun > maxRunSection {
		return nil
	}
	dst = append(dst, q[chunkRun:]...)
	var same [MaxChunkBytes]byte
	if back, err := decodeRun(dst, same[:0]); err != nil || back.Count != r.Count || back.Bytes != r.Bytes || !bytes.Equal(back.Inline, r.Inline) {
		return nil
	}
	return dst
}

// runCRCs returns the checksums of a sound section 7.
func runCRCs(p []byte) []byte {
	_, w := binary.Uvarint(p)
	return p[len(p)-4*int(p[w+1]):]
}

// decodeRun reads section 7 into o.
func (o *Onode) decodeRun(p []byte) error {
	r, err := decodeRun(p, o.page[:0])
	if err == nil {
		o.Extents, o.page = r, r.Inline
	}
	return err
}

// decodeRun returns the root that section 7 stands for, in the memory of page if that
// is enough.
func decodeRun(p, page []byte) (btree.Root, error) {
	const kind = "onode"
	bad := func() (btree.Root, error) {
		return btree.Root{}, malformed(kind, "run", fmt.Sprintf("%x", p), nil)
	}
	k, w := binary.Uvarint(p)
	if w <= 0 || len(p) < w+3 {
		return bad()
	}
	first, n, flags := p[w], p[w+1], p[w+2]
	addr, v := binary.Uvarint(p[w+3:])
	if v <= 0 {
		return bad()
	}
	crcs := p[w+3+v:]
	if n == 0 || int(first)+int(n) > ChunkBlocks || flags&^blockFlags != 0 || len(crcs) != 4*int(n) || !(Extent{Addr(addr), uint64(n)}).sound() {
		return bad()
	}
	size := chunkHeader + chunkRun + len(crcs)
	page = btree.AppendSole(page, k)
	page = append(page, 'C', chunkVersion, chunkVersion, 0, 1, n, byte(size), byte(size>>8))
	page = append(page, first, n, flags, 0, 0, 0, 0, 0)
	page = append(le.AppendUint64(page, addr), crcs...)
	return btree.Root{Kind: btree.RootInline, Inline: page, Count: 1, Bytes: extentsKey + uint64(size)}, nil
}
