package damage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"runtime/debug"
	"slices"
	"syscall"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/check"
	"ebofs/ebofs/repair"
	"ebofs/fuzz/engine"
	"ebofs/fuzz/history"
	"ebofs/osd"
)

// undoFile is an undo file in memory.
type undoFile struct{ p []byte }

// ReadAt implements repair.UndoStorage, as do the others.
func (f *undoFile) ReadAt(p []byte, off int64) (int, error) {
	n := copy(p, f.p[min(off, int64(len(f.p))):])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// WriteAt makes the file longer as needed.
func (f *undoFile) WriteAt(p []byte, off int64) (int, error) {
	if end := int(off) + len(p); end > len(f.p) {
		f.p = append(f.p, make([]byte, end-len(f.p))...)
	}
	return copy(f.p[off:], p), nil
}

// Sync does nothing.
func (f *undoFile) Sync() error { return nil }

// remapped is a device on which a block that cannot be read can be read again when
// it has been written.
type remapped struct {
	devices.Device
	at     run
	healed map[uint64]bool
}

// Read fails where it touches a block of the run that was not written since.
func (d *remapped) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	end := uint64(b) + uint64(devices.VecBytes(v)/devices.BlockSize)
	for i := max(uint64(b), d.at.start); i < min(end, d.at.start+d.at.blocks); i++ {
		if !d.healed[i] {
			return fmt.Errorf("read block %d: %w", i, syscall.EIO)
		}
	}
	return d.Device.Read(ctx, b, v)
}

// Close leaves the device open.
func (*remapped) Close() error { return nil }

// Write heals.
func (d *remapped) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	for i := range uint64(devices.VecBytes(v) / devices.BlockSize) {
		d.healed[uint64(b)+i] = true
	}
	return d.Device.Write(ctx, b, v)
}

// mend repairs an image as `fsck -y --level deep --undo` does: then a deep check
// finds nothing but marks, no object that could be read has changed, and the undo
// file brings back the image byte for byte. It returns what is lost. A repair that
// is refused is taken back too.
func (t *trial) mend(ctx context.Context, m image) (refused bool, left reach, err error) {
	defer func() {
		if x := recover(); x != nil {
			err = fmt.Errorf("panic in a repair: %v\n%s", x, debug.Stack())
		}
	}()
	watch := time.AfterFunc(hangAfter, func() { panic(fmt.Sprintf("repair of %s, %s %d hangs", m.class, m.way, m.number)) })
	defer watch.Stop()
	dev, err := t.device(ctx, m)
	if err != nil {
		return false, 0, err
	}
	var mem *devices.Mem
	switch d := dev.(type) {
	case open:
		mem = d.Device.(*devices.Mem)
	case badDevice:
		mem = d.Device.(*devices.Mem)
		dev = &remapped{mem, d.at, map[uint64]bool{}}
	}
	was := mem.Hash()
	before, err := t.standing(ctx, dev)
	if err != nil && !m.forged { // a forged block may be believed
		return false, 0, fmt.Errorf("before the repair: %w", err)
	}
	found, err := engine.Report(ctx, dev, true)
	if err != nil {
		found = nil
	} else if found.OK() && found.Complete && found.Clean {
		return false, lossOf(before, t.z), nil
	}
	file := new(undoFile)
	undo := repair.NewUndo(dev, file)
	defer undo.Close()
	_, repairErr := repair.Run(ctx, undo, repair.Options{Mode: repair.All, Deep: true, Overwrite: true, Found: found, Now: noon})
	if repairErr == nil {
		left, err = t.mended(ctx, dev, m, before)
		if err != nil {
			return false, left, fmt.Errorf("after the repair: %w", err)
		}
	}
	if len(file.p) > 0 {
		if _, err := repair.ApplyUndo(ctx, file, dev); err != nil {
			return repairErr != nil, left, fmt.Errorf("undo: %w", err)
		}
	}
	if m.eio { // what nobody could read is kept as zeros
		f := t.pool.Get(len(m.data))
		defer f.Release()
		p := f.Bytes()[:copy(f.Bytes(), m.data)]
		if err := mem.Write(ctx, devices.Block(m.at.start), devices.Vec{p}); err != nil {
			return repairErr != nil, left, err
		}
	}
	if mem.Hash() != was {
		return repairErr != nil, left, errors.New("after repair and undo the image is not what it was")
	}
	return repairErr != nil, left, nil
}

func noon() time.Time { return time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC) }

// mended judges a repaired image.
func (t *trial) mended(ctx context.Context, dev devices.Device, m image, before map[osd.ObjectID]bool) (reach, error) {
	r, err := engine.Report(ctx, dev, true)
	if err != nil {
		return 0, err
	}
	if !r.Complete || !r.Clean {
		return 0, fmt.Errorf("the check is complete %v, the store clean %v", r.Complete, r.Clean)
	}
	for i := range r.Problems {
		if p := &r.Problems[i]; p.Code != check.DataDamaged && p.Code != check.ObjectDamaged {
			return 0, fmt.Errorf("fsck still finds: %s", p)
		}
	}
	if t.z.unclean {
		s, err := engine.Open(ctx, dev, readOnlyOptions())
		if err != nil {
			return 0, err
		}
		left, err := t.read(ctx, s, m)
		return left, errors.Join(err, s.Close(ctx))
	}
	after, err := t.standing(ctx, dev)
	if err != nil {
		if m.forged {
			return believed, nil
		}
		return believed, err
	}
	for id := range before {
		if !after[id] && !m.forged {
			return someObjs, fmt.Errorf("object %v could be read before", id)
		}
	}
	return lossOf(after, t.z), nil
}

func readOnlyOptions() engine.Options {
	o := options
	o.ReadOnly = true
	return o
}

// lossOf says how many of the zoo's objects are not standing.
func lossOf(standing map[osd.ObjectID]bool, z *zoo) reach {
	if z.unclean {
		return nothing
	}
	return min(reach(len(z.hist.Last()[coll].Objects)-len(standing)), someObjs)
}

// standing returns the objects that read as the zoo has them, in whatever
// collection. It is an error if one reads otherwise, or
// if one is listed that was never there.
func (t *trial) standing(ctx context.Context, dev devices.Device) (map[osd.ObjectID]bool, error) {
	ids := map[osd.ObjectID]bool{}
	if t.z.unclean {
		return ids, nil // its states are compared as a whole
	}
	s, err := engine.Open(ctx, dev, readOnlyOptions())
	if err != nil {
		return ids, nil
	}
	defer s.Close(ctx)
	colls, err := s.Collections(ctx)
	if err != nil {
		return ids, nil
	}
	want := t.z.hist.Last()[coll].Objects
	for _, c := range colls {
		list, _, err := s.List(ctx, c, nil, nil, 10*len(want))
		switch {
		case err != nil && !damaged(err):
			return ids, fmt.Errorf("list: %w", err)
		case c == coll: // they may be there though they are not listed
			list = slices.AppendSeq(list, maps.Keys(want))
		}
		for _, id := range list {
			w, ok := want[id]
			if !ok {
				return ids, fmt.Errorf("object %v was never there", id)
			}
			got, err := history.DrawObject(ctx, s, c, id, history.Options{Buffer: t.buf})
			switch {
			case err == nil && got == w:
				ids[id] = true
			case err == nil:
				return ids, fmt.Errorf("object %v is %+v, want %+v", id, got, w)
			case !errors.Is(err, osd.ErrNotFound) && !damaged(err):
				return ids, fmt.Errorf("object %v: %w", id, err)
			}
		}
	}
	return ids, nil
}
