package btree

import "encoding/binary"

// Flags of a Ptr.
const (
	// PtrOverflow says that a leaf of the subtree holds an overflow value.
	PtrOverflow uint16 = 1 << 0
	// PtrShared says that another root may reach the subtree; reserved for
	// clones, never set so far.
	PtrShared uint16 = 1 << 1
	// PtrDamaged says that the subtree was given up: it could not be read when
	// changes to it were due, and they are lost. It is never read again, even
	// should the device recover, for then it would show what was before them.
	PtrDamaged uint16 = 1 << 2

	ptrFlags = PtrOverflow | PtrShared | PtrDamaged
)

// Ptr names a node on media and carries the parent's copy of its checksum and
// epoch, so that a node that was never written, or is an older one, shows.
//
//	off len field   little-endian
//	  0   8 address  device index 8 bits | block 56 bits; never 0
//	  8   8 epoch    in which the node was written
//	 16   4 crc      as in the node's header
//	 20   1 blocks   1..16
//	 21   1 level    0 = leaf
//	 22   2 flags
type Ptr struct {
	Addr   uint64
	Epoch  uint64
	CRC    uint32
	Blocks uint8
	Level  uint8
	Flags  uint16
}

const (
	ptrBytes   = 24
	childBytes = ptrBytes + 16
	maxLevel   = 31 // far above any tree: a level above it is damage
)

func (p Ptr) append(dst []byte) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, p.Addr)
	dst = binary.LittleEndian.AppendUint64(dst, p.Epoch)
	dst = binary.LittleEndian.AppendUint32(dst, p.CRC)
	dst = append(dst, p.Blocks, p.Level)
	return binary.LittleEndian.AppendUint16(dst, p.Flags)
}

// decodePtr reads a Ptr from the first ptrBytes of b, which it must have.
func decodePtr(b []byte) Ptr {
	_ = b[ptrBytes-1]
	return Ptr{
		Addr:   binary.LittleEndian.Uint64(b),
		Epoch:  binary.LittleEndian.Uint64(b[8:]),
		CRC:    binary.LittleEndian.Uint32(b[16:]),
		Blocks: b[20],
		Level:  b[21],
		Flags:  binary.LittleEndian.Uint16(b[22:]),
	}
}

// check refuses what no writer makes.
func (p Ptr) check(addr uint64) error {
	switch {
	case p.Addr == 0:
		return corrupt(addr, "child address", "not 0", 0)
	case p.Blocks == 0 || int(p.Blocks)*blockBytes > MaxPageBytes:
		return corrupt(addr, "child blocks", "1..16", p.Blocks)
	case p.Level > maxLevel:
		return corrupt(addr, "child level", "at most 31", p.Level)
	case p.Flags&^ptrFlags != 0:
		return corrupt(addr, "child flags", "known bits", p.Flags)
	}
	return nil
}

// Readable returns a CorruptError if p leads to a subtree that was given up. A
// Loader asks it first.
func (p Ptr) Readable() error {
	if p.Flags&PtrDamaged != 0 {
		return corrupt(p.Addr, "state", "sound", "given up, with changes to it lost")
	}
	return nil
}

// child is one entry of an inner node: a pointer and the totals of what it
// reaches, so that whole subtrees can be dropped and counted without being read.
//
//	off len field   little-endian
//	  0  24 pointer
//	 24   8 items    in all leaves below
//	 32   8 bytes    of keys and values below, overflow values included
type child struct {
	ptr   Ptr
	count uint64
	bytes uint64
}

func (c child) append(dst []byte) []byte {
	dst = c.ptr.append(dst)
	dst = binary.LittleEndian.AppendUint64(dst, c.count)
	return binary.LittleEndian.AppendUint64(dst, c.bytes)
}

// decodeChild reads a child from the first childBytes of b, which it must have.
func decodeChild(b []byte) child {
	_ = b[childBytes-1]
	return child{
		ptr:   decodePtr(b),
		count: binary.LittleEndian.Uint64(b[24:]),
		bytes: binary.LittleEndian.Uint64(b[32:]),
	}
}
