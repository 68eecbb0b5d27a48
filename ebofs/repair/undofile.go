package repair

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"ebofs/devices"
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

// The undo file: a header, then entries, each the old content of blocks that were
// about to be overwritten. A block is written to the device only after its entry
// and a header that counts it are durable, so what lies beyond the header's length
// was never needed, and what is missing below it shows.
//
//	off len field     little-endian; header, 4096 bytes
//	  0   8 magic     "EBOFSund"
//	  8   4 crc       CRC-32C of [12:4096)
//	 12   4 version   1
//	 16  16 fsid
//	 32  16 device uuid
//	 48   8 blocks    of the device
//	 56   8 length    bytes of header and entries
//	 64   8 entries
//	 72     zero
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
	undoVersion  = 1
	undoHeader   = 4096
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
	return u, nil
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

// ApplyUndo writes back what a repair overwrote: the device is then byte for byte
// what it was before. Nothing is written unless the whole file is sound and belongs
// to this device. It may be repeated. It returns the number of blocks in the file.
func ApplyUndo(ctx context.Context, at UndoStorage, dev devices.Device) (blocks uint64, err error) {
	u, err := openUndo(at)
	if err != nil {
		return 0, err
	}
	if have := dev.Geometry().Blocks; have != u.id.Blocks {
		return 0, fmt.Errorf("%w: of a device of %d blocks, this one has %d", ErrUndo, u.id.Blocks, have)
	}
	d := &device{dev: dev, pool: devices.NewPool(devices.PoolOptions{})}
	defer d.pool.Close()
	// Labels and superblocks tell whose device it is: they go last, so that an
	// interrupted undo can be told apart from another device.
	marks := slices.Concat(layout.LabelBlocks(u.id.Blocks), slotList(u.id.Blocks))
	same := true
	err = u.each(ctx, func(b uint64, data []byte) error {
		for i := uint64(0); i < uint64(len(data))/layout.BlockSize; i++ {
			if blocks++; slices.Contains(marks, b+i) || !same {
				continue
			}
			p, err := d.read(ctx, b+i, 1)
			same = err == nil && bytes.Equal(p, data[i*layout.BlockSize:(i+1)*layout.BlockSize])
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	switch id, err := identify(ctx, d); {
	case err != nil:
		return 0, err
	case id.FSID.IsZero() && !same:
		return 0, fmt.Errorf("%w: of store %s, and there is no trace of a store on this device", ErrUndo, u.id.FSID.Short())
	case !id.FSID.IsZero() && (id.FSID != u.id.FSID || id.DeviceUUID != u.id.DeviceUUID && !same):
		return 0, fmt.Errorf("%w: of device %v of store %s, this is device %v of store %s", ErrUndo, u.id.DeviceUUID, u.id.FSID.Short(), id.DeviceUUID, id.FSID.Short())
	}
	for _, last := range [...]bool{false, true} {
		err := u.each(ctx, func(b uint64, data []byte) error {
			for i := uint64(0); i < uint64(len(data))/layout.BlockSize; i++ {
				if slices.Contains(marks, b+i) == last {
					if err := d.write(ctx, b+i, data[i*layout.BlockSize:(i+1)*layout.BlockSize]); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err == nil {
			err = dev.Flush(ctx)
		}
		if err != nil {
			return 0, err
		}
	}
	return blocks, nil
}

func slotList(blocks uint64) []uint64 {
	s := layout.SlotBlocks(blocks)
	return s[:]
}

// identify says whose device this is by any sound superblock or label.
func identify(ctx context.Context, d *device) (Ident, error) {
	id := Ident{Blocks: d.dev.Geometry().Blocks}
	for _, b := range slotList(id.Blocks) {
		if p, err := d.read(ctx, b, 1); err == nil {
			if sb, err := layout.DecodeSuperblock(p); err == nil {
				id.FSID, id.DeviceUUID = sb.FSID, sb.DeviceUUID
				return id, nil
			}
		}
	}
	for _, b := range layout.LabelBlocks(id.Blocks) {
		if p, err := d.read(ctx, b, 1); err == nil {
			if l, err := layout.DecodeLabel(p); err == nil {
				id.FSID, id.DeviceUUID = l.FSID, l.DeviceUUID
				return id, nil
			}
		}
	}
	return id, ctx.Err()
}
