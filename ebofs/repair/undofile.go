package repair

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"ebofs/ebofs/layout"
)

// UndoStorage is where an undo file lies; an *os.File is one.
type UndoStorage interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
}

// Ident is the device an undo file belongs to.
type Ident struct {
	FSID       layout.UUID // of its store
	DeviceUUID layout.UUID
	Blocks     uint64 // size of the device
}

// ErrUndo is matched by the reasons an undo file is not applied.
var ErrUndo = errors.New("undo file")

// ErrChanged is matched, besides ErrUndo, if what the repair left was written over
// since: applying the file would destroy that. ForceUndo does it all the same.
var ErrChanged = errors.New("the store was written to since")

// The undo file: a header, then entries, each the old content of blocks that were
// about to be overwritten. A block is written to the device only after its entry
// and a header that counts it are durable, so what lies beyond the header's length
// was never needed, and what is missing below it shows.
//
// A repair that came to its end adds a table, by which what was written since is
// told from what the repair left: for every block of every entry, in order, the
// CRC-32C of its new content.
//
//	off len field     little-endian; header, 4096 bytes
//	  0   8 magic     "EBOFSund"
//	  8   4 crc       CRC-32C of [12:4096)
//	 12   4 version   2
//	 16  16 fsid
//	 32  16 device uuid
//	 48   8 blocks    of the device
//	 56   8 length    bytes of header and entries
//	 64   8 entries
//	 72   8 generation of the newest superblock the repair found or wrote
//	 80   8 epoch     of that
//	 88   4 finished  1: the table is there, from byte length on
//	 92   4 crc       CRC-32C of the table
//	 96   4 supers    superblocks the repair found or wrote
//	100   4 each      CRC-32C of the block
//	        zero
//
//	off len field     entry, 32 bytes and the blocks
//	  0   4 magic     "EBun"
//	  4   4 crc       CRC-32C of the entry from byte 8 on, blocks included
//	  8   8 number    0, 1, 2 …
//	 16   8 block     first one on the device
//	 24   4 blocks
//	 28   4 zero
//	 32     old content
const (
	undoMagic    = "EBOFSund"
	entryMagic   = "EBun"
	undoVersion  = 2
	undoHeader   = 4096
	undoSupers   = 100 // where their checksums begin in the header
	entryHeader  = 32
	maxUndoEntry = 256 // blocks
)

var le = binary.LittleEndian

// undoFile appends to an undo file.
type undoFile struct {
	at      UndoStorage
	id      Ident
	length  uint64
	entries uint64

	generation, epoch uint64   // of the newest superblock found or written
	supers            []uint32 // checksums of all of them
	finished          bool     // there is a table
	table             uint32   // its checksum
}

// saw notes a superblock that the repair found or is about to write.
func (u *undoFile) saw(sb *layout.Superblock, p []byte) {
	crc := layout.CRC(p)
	if slices.Contains(u.supers, crc) {
		return
	}
	if len(u.supers) == (undoHeader-undoSupers)/4 {
		u.supers = u.supers[1:]
	}
	u.supers = append(u.supers, crc)
	if sb.Generation > u.generation {
		u.generation, u.epoch = sb.Generation, sb.Epoch
	}
}

func (u *undoFile) append(block uint64, data []byte) error {
	p := make([]byte, entryHeader+len(data))
	copy(p, entryMagic)
	le.PutUint64(p[8:], u.entries)
	le.PutUint64(p[16:], block)
	le.PutUint32(p[24:], uint32(len(data)/layout.BlockSize))
	copy(p[entryHeader:], data)
	le.PutUint32(p[4:], layout.CRC(p[8:]))
	if _, err := u.at.WriteAt(p, int64(u.length)); err != nil {
		return err
	}
	u.length += uint64(len(p))
	u.entries++
	return nil
}

// commit makes what was appended count.
func (u *undoFile) commit() error {
	if err := u.at.Sync(); err != nil {
		return err
	}
	p := make([]byte, undoHeader)
	copy(p, undoMagic)
	le.PutUint32(p[12:], undoVersion)
	copy(p[16:], u.id.FSID[:])
	copy(p[32:], u.id.DeviceUUID[:])
	le.PutUint64(p[48:], u.id.Blocks)
	le.PutUint64(p[56:], u.length)
	le.PutUint64(p[64:], u.entries)
	le.PutUint64(p[72:], u.generation)
	le.PutUint64(p[80:], u.epoch)
	if u.finished {
		le.PutUint32(p[88:], 1)
	}
	le.PutUint32(p[92:], u.table)
	le.PutUint32(p[96:], uint32(len(u.supers)))
	for i, crc := range u.supers {
		le.PutUint32(p[undoSupers+4*i:], crc)
	}
	le.PutUint32(p[8:], layout.CRC(p[12:]))
	if _, err := u.at.WriteAt(p, 0); err != nil {
		return err
	}
	return u.at.Sync()
}

func openUndo(at UndoStorage) (u undoFile, err error) {
	p := make([]byte, undoHeader)
	if _, err := at.ReadAt(p, 0); errors.Is(err, io.EOF) {
		return u, fmt.Errorf("%w: this is none, or it is torn: shorter than a header", ErrUndo)
	} else if err != nil {
		return u, fmt.Errorf("%w: header: %w", ErrUndo, err)
	}
	switch {
	case string(p[:8]) != undoMagic:
		return u, fmt.Errorf("%w: this is none", ErrUndo)
	case layout.CRC(p[12:]) != le.Uint32(p[8:]):
		return u, fmt.Errorf("%w: its header is damaged", ErrUndo)
	case le.Uint32(p[12:]) != undoVersion:
		return u, fmt.Errorf("%w: version %d, this program reads %d", ErrUndo, le.Uint32(p[12:]), undoVersion)
	}
	u = undoFile{at: at, length: le.Uint64(p[56:]), entries: le.Uint64(p[64:])}
	u.id = Ident{layout.UUID(p[16:32]), layout.UUID(p[32:48]), le.Uint64(p[48:])}
	u.generation, u.epoch = le.Uint64(p[72:]), le.Uint64(p[80:])
	u.finished, u.table = le.Uint32(p[88:]) == 1, le.Uint32(p[92:])
	n := le.Uint32(p[96:])
	if n > (undoHeader-undoSupers)/4 {
		return u, fmt.Errorf("%w: its header is damaged: %d superblocks", ErrUndo, n)
	}
	for i := range n {
		u.supers = append(u.supers, le.Uint32(p[undoSupers+4*i:]))
	}
	return u, nil
}

// finish adds the table: the repair has come to its end.
func (u *undoFile) finish(table []byte) error {
	if _, err := u.at.WriteAt(table, int64(u.length)); err != nil {
		return err
	}
	u.finished, u.table = true, layout.CRC(table)
	return u.commit()
}

// left returns the table of a repair of so many blocks.
func (u *undoFile) left(blocks uint64) ([]byte, error) {
	p := make([]byte, 4*blocks)
	if _, err := u.at.ReadAt(p, int64(u.length)); err != nil && !(errors.Is(err, io.EOF) && blocks == 0) {
		return nil, fmt.Errorf("%w: table at byte %d: %w: the file is torn", ErrUndo, u.length, err)
	}
	if layout.CRC(p) != u.table {
		return nil, fmt.Errorf("%w: table at byte %d: bad checksum: the file is torn", ErrUndo, u.length)
	}
	return p, nil
}

// each reads all entries, verifies them and calls fn (nil: only verifies).
func (u *undoFile) each(ctx context.Context, fn func(block uint64, data []byte) error) error {
	at, h := uint64(undoHeader), make([]byte, entryHeader)
	for i := range u.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		torn := func(why any) error {
			return fmt.Errorf("%w: entry %d of %d at byte %d: %v: the file is torn", ErrUndo, i, u.entries, at, why)
		}
		if _, err := u.at.ReadAt(h, int64(at)); err != nil {
			return torn(err)
		}
		n := uint64(le.Uint32(h[24:]))
		if string(h[:4]) != entryMagic || le.Uint64(h[8:]) != i || n == 0 || n > maxUndoEntry {
			return torn("no entry")
		}
		p := make([]byte, entryHeader+n*layout.BlockSize)
		if _, err := u.at.ReadAt(p, int64(at)); err != nil {
			return torn(err)
		}
		if got := layout.CRC(p[8:]); got != le.Uint32(p[4:]) {
			return torn(fmt.Sprintf("crc %08x, want %08x", got, le.Uint32(p[4:])))
		}
		b := le.Uint64(p[16:])
		if b > u.id.Blocks || n > u.id.Blocks-b {
			return torn(fmt.Sprintf("blocks %d~%d outside the device", b, n))
		}
		if fn != nil {
			if err := fn(b, p[entryHeader:]); err != nil {
				return err
			}
		}
		at += uint64(len(p))
	}
	if at != u.length {
		return fmt.Errorf("%w: entries end at byte %d, not %d: the file is torn", ErrUndo, at, u.length)
	}
	return nil
}
