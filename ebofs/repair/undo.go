package repair

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// Undo is a device that keeps the old content of every block in an undo file
// before it is overwritten for the first time. Closing it does not close the
// device below.
//
// A block that cannot be read before it is overwritten is kept as zeros: nobody
// could have read it.
type Undo struct {
	dev devices.Device

	mu   sync.Mutex
	file undoFile
	pool *devices.Pool
	kept map[uint64]uint64 // block/64 → bits of blocks in the file
	runs []layout.Extent   // what the entries of the file hold
	err  error             // the file cannot be written any more
}

var _ devices.Device = (*Undo)(nil)

// NewUndo returns dev with an undo file, which is empty so far. Whose device it is
// must be told before the first write: see Bind, which Run calls.
func NewUndo(dev devices.Device, at UndoStorage) *Undo {
	id := Ident{Blocks: dev.Geometry().Blocks}
	return &Undo{dev: dev, file: undoFile{at: at, id: id, length: undoHeader}, pool: devices.NewPool(devices.PoolOptions{}), kept: make(map[uint64]uint64)}
}

// Bind says whose device it is, and notes the superblocks it has.
func (u *Undo) Bind(ctx context.Context, fsid, device layout.UUID) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.file.id.FSID, u.file.id.DeviceUUID = fsid, device
	return supers(ctx, u.below(), u.file.saw)
}

// Finish says that the repair has come to its end: the file then tells what the
// repair left from what is written later.
func (u *Undo) Finish(ctx context.Context) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil || len(u.runs) == 0 {
		return u.err
	}
	if err := u.dev.Flush(ctx); err != nil {
		return err
	}
	d := u.below()
	var table []byte
	for _, e := range u.runs {
		for b := e.Addr.Block(); e.Blocks > 0; b, e.Blocks = b+1, e.Blocks-1 {
			crc := uint32(0)
			if p, err := d.read(ctx, b, 1); err == nil {
				crc = layout.CRC(p)
			} else if ctx.Err() != nil {
				return ctx.Err()
			}
			table = le.AppendUint32(table, crc)
		}
	}
	if err := u.file.finish(table); err != nil {
		return fmt.Errorf("%w: %w", ErrUndo, err)
	}
	return nil
}

func (u *Undo) below() *device { return &device{dev: u.dev, pool: u.pool} }

// Blocks is the number of blocks in the file.
func (u *Undo) Blocks() uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return (u.file.length - undoHeader - entryHeader*u.file.entries) / layout.BlockSize
}

// Geometry is that of the device below.
func (u *Undo) Geometry() devices.Geometry { return u.dev.Geometry() }

// Read reads the device below.
func (u *Undo) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	return u.dev.Read(ctx, b, v)
}

// Write keeps what is there and then writes.
func (u *Undo) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	n := uint64(0)
	for _, p := range v {
		n += uint64(len(p))
	}
	if err := u.Keep(ctx, []layout.Extent{{Addr: layout.Addr(b), Blocks: n / layout.BlockSize}}); err != nil {
		return err
	}
	if err := u.super(b, v, n); err != nil {
		return err
	}
	return u.dev.Write(ctx, b, v)
}

// super notes a superblock that is about to be written.
func (u *Undo) super(b devices.Block, v devices.Vec, n uint64) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n != layout.BlockSize || !slices.Contains(slotList(u.file.id.Blocks), uint64(b)) {
		return nil
	}
	p := slices.Concat(v...)
	sb, err := layout.DecodeSuperblock(p)
	if err != nil {
		return nil
	}
	u.file.saw(&sb, p)
	return u.commit()
}

// Flush flushes the device below.
func (u *Undo) Flush(ctx context.Context) error { return u.dev.Flush(ctx) }

// Close gives memory back. The device below stays open.
func (u *Undo) Close() error { return u.pool.Close() }

// Keep makes the present content of extents durable in the file, as far as it is
// not there yet: many at once cost no more waiting than one.
func (u *Undo) Keep(ctx context.Context, list []layout.Extent) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return u.err
	}
	added := false
	for _, e := range list {
		b := e.Addr.Block()
		if e.Blocks == 1 && planted.On(planted.UndoForgot) {
			continue
		}
		for end := b + e.Blocks; b < end; {
			if u.has(b) {
				b++
				continue
			}
			n := uint64(1)
			for n < maxUndoEntry && b+n < end && !u.has(b+n) {
				n++
			}
			if err := u.keepRun(ctx, b, n); err != nil {
				return err
			}
			added = true
			b += n
		}
	}
	if !added {
		return nil
	}
	return u.commit()
}

// commit makes durable what the file got.
func (u *Undo) commit() error {
	if err := u.file.commit(); err != nil {
		u.err = fmt.Errorf("%w: %w", ErrUndo, err)
		return u.err
	}
	return nil
}

func (u *Undo) has(b uint64) bool { return u.kept[b/64]>>(b%64)&1 != 0 }

func (u *Undo) keepRun(ctx context.Context, b, n uint64) error {
	f := u.pool.Get(int(n) * layout.BlockSize)
	defer f.Release()
	p := f.Bytes()[:n*layout.BlockSize]
	if err := u.dev.Read(ctx, devices.Block(b), devices.Vec{p}); err != nil {
		for i := range n {
			q := p[i*layout.BlockSize : (i+1)*layout.BlockSize]
			if u.dev.Read(ctx, devices.Block(b+i), devices.Vec{q}) != nil {
				clear(q)
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	if err := u.file.append(b, p); err != nil {
		u.err = fmt.Errorf("%w: %w", ErrUndo, err)
		return u.err
	}
	u.runs = append(u.runs, layout.Extent{Addr: layout.MakeAddr(0, b), Blocks: n})
	for i := range n {
		u.kept[(b+i)/64] |= 1 << ((b + i) % 64)
	}
	return nil
}
