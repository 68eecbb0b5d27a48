package layout

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

var le = binary.LittleEndian

// Self is what a block says of itself: whose it is, where it was written, by
// which checkpoint. The parent's Ref must agree.
type Self struct {
	FSID  UUID
	Addr  Addr
	Epoch uint64
}

// Ref is a pointer to a run of whole blocks that carry a Header: what the parent
// knows of its child.
//
//	off len field     24 bytes
//	  0   8 address   of the first block
//	  8   8 epoch     that wrote it
//	 16   4 crc       as in the child's header
//	 20   4 blocks
type Ref struct {
	Addr   Addr
	Epoch  uint64
	CRC    uint32
	Blocks uint32
}

// RefBytes is the encoded size of a Ref.
const RefBytes = 24

// IsNone reports whether r points nowhere.
func (r Ref) IsNone() bool { return r.Addr.IsNone() }

// Extent returns the blocks r points to.
func (r Ref) Extent() Extent { return Extent{r.Addr, uint64(r.Blocks)} }

// String returns "address~blocks@epoch".
func (r Ref) String() string {
	if r.IsNone() {
		return "none"
	}
	return fmt.Sprintf("%v@%d", r.Extent(), r.Epoch)
}

func putRef(p []byte, r Ref) {
	le.PutUint64(p, uint64(r.Addr))
	le.PutUint64(p[8:], r.Epoch)
	le.PutUint32(p[16:], r.CRC)
	le.PutUint32(p[20:], r.Blocks)
}

func getRef(p []byte) Ref {
	return Ref{Addr(le.Uint64(p)), le.Uint64(p[8:]), le.Uint32(p[16:]), le.Uint32(p[20:])}
}

// check reports a Ref that is neither none nor a proper run of 1..max blocks.
func (r Ref) check(kind, field string, max uint32) error {
	if r == (Ref{}) {
		return nil
	}
	if r.Blocks > max || r.Extent().check() != nil {
		return malformed(kind, field, r, fmt.Sprintf("1..%d blocks", max))
	}
	return nil
}

// HeaderBytes is the size of the header that begins the root record, zone
// tables, zone bitmaps and space log segments.
const HeaderBytes = 64

// Header begins every structure that a Ref points to.
//
//	off len field       little-endian
//	  0   4 magic       one per kind, see Kind
//	  4   4 crc         CRC-32C of all blocks with this field zero
//	  8   1 type        the Kind
//	  9   1 version
//	 10   1 min reader  lowest version of a program that may read it
//	 11   1 reserved, zero
//	 12   4 length      bytes in use, header included; the rest is zero
//	 16  16 fsid
//	 32   8 self        address of the first block
//	 40   8 epoch       of the checkpoint that wrote it
//	 48  16 reserved, zero
type Header struct {
	Kind      Kind
	Version   uint8
	MinReader uint8
	Length    uint32
	CRC       uint32
	Self      Self
}

// Kind tells structures with a Header apart.
type Kind uint8

// The kinds, each with its magic in brackets.
const (
	KindRootRecord Kind = 1 // "EBrr"
	KindZoneTable  Kind = 2 // "EBzt"
	KindZoneBitmap Kind = 3 // "EBzb"
	KindSpaceLog   Kind = 4 // "EBsl"
)

var kinds = [...]struct{ magic, name string }{
	KindRootRecord: {"EBrr", "root record"},
	KindZoneTable:  {"EBzt", "zone table"},
	KindZoneBitmap: {"EBzb", "zone bitmap"},
	KindSpaceLog:   {"EBsl", "space log"},
}

// String returns the name of the kind.
func (k Kind) String() string {
	if int(k) < len(kinds) && k != 0 {
		return kinds[k].name
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// headerVersion is written into all kinds until one of them changes.
const headerVersion = 1

// finish completes an encoded structure: p is whole blocks whose first length
// bytes, from HeaderBytes on, are filled in. It zeroes the tail, writes the
// header and returns the pointer for the parent.
func finish(p []byte, kind Kind, length int, self Self) Ref {
	clear(p[length:])
	clear(p[:HeaderBytes])
	copy(p, kinds[kind].magic)
	p[8], p[9], p[10] = uint8(kind), headerVersion, headerVersion
	le.PutUint32(p[12:], uint32(length))
	copy(p[16:], self.FSID[:])
	le.PutUint64(p[32:], uint64(self.Addr))
	le.PutUint64(p[40:], self.Epoch)
	crc := CRC(p)
	le.PutUint32(p[4:], crc)
	return Ref{self.Addr, self.Epoch, crc, uint32(len(p) / BlockSize)}
}

// frame checks that p can hold length bytes of a structure at self.
func frame(p []byte, kind Kind, length int, self Self) error {
	switch {
	case len(p)%BlockSize != 0 || len(p) < length:
		return fmt.Errorf("%v: %d bytes do not fit %d: %w", kind, length, len(p), ErrInvalid)
	case self.Epoch == 0 || self.FSID.IsZero():
		return fmt.Errorf("%v: no epoch or fsid: %w", kind, ErrInvalid)
	}
	if err := (Extent{self.Addr, uint64(len(p) / BlockSize)}).check(); err != nil {
		return fmt.Errorf("%v: %w", kind, err)
	}
	return nil
}

// DecodeHeader reads and verifies the header and checksum of p, whole blocks read
// from the device. It does not know what the parent expects; see Ref.Verify.
func DecodeHeader(p []byte) (Header, error) {
	var h Header
	if len(p) < BlockSize || len(p)%BlockSize != 0 {
		return h, truncated("block", "structure", len(p), BlockSize)
	}
	h.Kind = Kind(p[8])
	if h.Kind == 0 || int(h.Kind) >= len(kinds) || string(p[:4]) != kinds[h.Kind].magic {
		return h, &Corruption{Kind: "block", Field: "magic", Got: fmt.Sprintf("%x/%d", p[:4], p[8]), Err: ErrBadMagic}
	}
	h.CRC = le.Uint32(p[4:])
	if got := crcZeroed(p, 4); got != h.CRC {
		return h, &Corruption{Kind: h.Kind.String(), Field: "crc", Got: fmt.Sprintf("%08x", got), Want: fmt.Sprintf("%08x", h.CRC), Err: ErrBadCRC}
	}
	h.Version, h.MinReader = p[9], p[10]
	h.Length = le.Uint32(p[12:])
	h.Self.FSID = UUID(p[16:32])
	h.Self.Addr = Addr(le.Uint64(p[32:]))
	h.Self.Epoch = le.Uint64(p[40:])
	if h.MinReader > headerVersion {
		return h, &Corruption{Kind: h.Kind.String(), Field: "min reader", Got: fmt.Sprint(h.MinReader), Want: fmt.Sprintf("≤ %d", headerVersion), Err: ErrNewer}
	}
	if h.Length < HeaderBytes || int64(h.Length) > int64(len(p)) {
		return h, malformed(h.Kind.String(), "length", h.Length, fmt.Sprintf("%d..%d", HeaderBytes, len(p)))
	}
	return h, nil
}

// crcZeroed is the CRC-32C of p with the four bytes at off taken as zero.
func crcZeroed(p []byte, off int) uint32 {
	var zero [4]byte
	c := crc32.Update(0, castagnoli, p[:off])
	c = crc32.Update(c, castagnoli, zero[:])
	return crc32.Update(c, castagnoli, p[off+4:])
}

// Verify decodes the header of p, read from where r points, and compares it with
// what the parent knows: kind, store, address, epoch and checksum. It returns the
// body: the bytes between header and length.
func (r Ref) Verify(p []byte, kind Kind, fsid UUID) ([]byte, error) {
	bad := func(field string, got, want any, err error) ([]byte, error) {
		return nil, &Corruption{Kind: kind.String(), Addr: r.Addr, Field: field, Got: fmt.Sprint(got), Want: fmt.Sprint(want), Err: err}
	}
	if int64(len(p)) != int64(r.Blocks)*BlockSize {
		return bad("bytes", len(p), int64(r.Blocks)*BlockSize, ErrMalformed)
	}
	h, err := DecodeHeader(p)
	if err != nil {
		if c, ok := err.(*Corruption); ok {
			c.Kind, c.Addr = kind.String(), r.Addr
		}
		return nil, err
	}
	switch {
	case h.Kind != kind:
		return bad("kind", h.Kind, kind, ErrBadMagic)
	case h.Self.FSID != fsid:
		return bad("fsid", h.Self.FSID, fsid, ErrForeign)
	case h.Self.Addr != r.Addr:
		return bad("self address", h.Self.Addr, r.Addr, ErrMisplaced)
	case h.Self.Epoch != r.Epoch:
		return bad("epoch", h.Self.Epoch, r.Epoch, ErrStale)
	case h.CRC != r.CRC:
		return bad("crc", fmt.Sprintf("%08x", h.CRC), fmt.Sprintf("%08x", r.CRC), ErrStale)
	}
	return p[HeaderBytes:h.Length], nil
}

// blocksFor returns how many blocks hold n bytes.
func blocksFor(n int) int { return (n + BlockSize - 1) / BlockSize }

// isZero reports whether p is all zero.
func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
