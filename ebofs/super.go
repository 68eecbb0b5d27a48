package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// Found is what the superblock slots and labels of a device say, for mount and
// for tools. Nothing is written.
type Found struct {
	Super  layout.Superblock
	Slots  []layout.Candidate // H0, H1, Z0, Z1
	Labels []FoundLabel
}

// FoundLabel is what was read where a label should be.
type FoundLabel struct {
	Block uint64
	Label layout.Label
	Err   error

	torn bool // but for the first sector the block is zeros, as a label is
}

// Find reads the labels and superblock slots of dev and picks the newest valid
// superblock. It returns ErrNoStore if there is no trace of a store, and what
// was found besides an error about damage, another format version or an
// unknown feature.
func Find(ctx context.Context, dev devices.Device) (Found, error) {
	var f Found
	blocks := dev.Geometry().Blocks
	if blocks < layout.MinLogDeviceBytes/blockSize {
		return f, fmt.Errorf("%w: device of %d blocks is too small to hold one", ErrNoStore, blocks)
	}
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	frame := pool.Get(blockSize)
	defer frame.Release()
	var unread error // first place that could not be read
	read := func(b uint64) ([]byte, error) {
		if err := readRetry(ctx, dev, devices.Block(b), frame.Bytes()); err != nil {
			if unread == nil {
				unread = err
			}
			return nil, err
		}
		return append([]byte(nil), frame.Bytes()...), nil
	}
	var labels []layout.Label
	for _, b := range layout.LabelBlocks(blocks) {
		l := FoundLabel{Block: b}
		p, err := read(b)
		if err == nil {
			l.Label, err = layout.DecodeLabel(p)
		}
		if err == nil && l.Label.Self != b {
			err = fmt.Errorf("label of block %d: %w", l.Label.Self, layout.ErrMisplaced)
		}
		if l.Err = err; err == nil {
			labels = append(labels, l.Label)
		}
		l.torn = len(p) > 0 && isZero(p[devices.MinTearBytes:])
		f.Labels = append(f.Labels, l)
	}
	slots, best, err := layout.Locate(blocks, labels, read)
	f.Slots = slots
	if err != nil {
		if unread != nil {
			return f, fmt.Errorf("no superblock can be read: %w", errors.Join(unread, err))
		}
		if errors.Is(err, layout.ErrNoSuperblock) && labels == nil && !errors.Is(err, layout.ErrBadCRC) && !errors.Is(err, layout.ErrTorn) {
			return f, fmt.Errorf("%w: neither a label nor a superblock", ErrNoStore)
		}
		return f, err
	}
	f.Super = *best
	return f, nil
}

// Roots is what a superblock points to.
type Roots struct {
	Record layout.RootRecord
	Zones  []layout.ZoneEntry // nil: every zone is free
	Own    []layout.Extent    // blocks of root record, zone tables and zone bitmaps

	sound bool // Record was read: enough to look at objects
}

// ReadRoots reads the root record of a superblock and its zone tables. If the
// record is sound and a zone table is not, the result holds the record beside
// the error.
func ReadRoots(ctx context.Context, dev devices.Device, sb *layout.Superblock) (Roots, error) {
	var r Roots
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	inZones := func(ref layout.Ref, what string) error {
		end := ref.Addr.Block() + uint64(ref.Blocks)
		if ref.Addr.Device() != 0 || ref.Addr.Block() < sb.ZoneStart || end > sb.ZoneEnd {
			return fmt.Errorf("%s at %v lies outside the zones: %w", what, ref, ErrCorrupt)
		}
		return nil
	}
	read := func(ref layout.Ref, what string, decode func(p []byte) error) error {
		if err := inZones(ref, what); err != nil {
			return err
		}
		f := pool.Get(int(ref.Blocks) * blockSize)
		defer f.Release()
		p := f.Bytes()[:int(ref.Blocks)*blockSize]
		err := readChecked(ctx, dev, devices.Block(ref.Addr.Block()), p, func() error { return decode(append([]byte(nil), p...)) })
		if err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		r.Own = append(r.Own, ref.Extent())
		return nil
	}
	if sb.Root.Blocks == 0 || sb.Root.Blocks > layout.MaxRootBlocks {
		return r, fmt.Errorf("root record of %d blocks: %w", sb.Root.Blocks, ErrCorrupt)
	}
	var rec *layout.RootRecord
	err := read(sb.Root, "root record", func(p []byte) (err error) {
		rec, err = layout.DecodeRootRecord(p, sb.FSID, sb.Root)
		return err
	})
	if err != nil {
		return r, err
	}
	r.Record, r.sound = *rec, true
	if len(rec.SpaceLog) > 0 {
		return r, fmt.Errorf("store has a space log of %d segments: %w", len(rec.SpaceLog), ErrUnsupported)
	}
	for i, ref := range rec.ZoneTables {
		var t *layout.ZoneTable
		err := read(ref, fmt.Sprintf("zone table %d", i), func(p []byte) (err error) {
			t, err = layout.DecodeZoneTable(p, sb.FSID, ref)
			return err
		})
		if err != nil {
			return r, err
		}
		if int(t.First) != len(r.Zones) {
			return r, fmt.Errorf("zone table %d begins with zone %d, expected %d: %w", i, t.First, len(r.Zones), ErrCorrupt)
		}
		r.Zones = append(r.Zones, t.Zones...)
	}
	if r.Zones != nil && len(r.Zones) != int(sb.Zones) {
		return r, fmt.Errorf("zone tables name %d zones, the superblock %d: %w", len(r.Zones), sb.Zones, ErrCorrupt)
	}
	for z := range r.Zones {
		if ref := r.Zones[z].Bitmap; !ref.IsNone() {
			if err := inZones(ref, fmt.Sprintf("bitmap of zone %d", z)); err != nil {
				return r, err
			}
			r.Own = append(r.Own, ref.Extent())
		}
	}
	return r, nil
}

func isZero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }

// checkLabel refuses to write to a store whose block 0 is not its label: after
// an accident somebody else may live there, and what they wrote is not ours to
// overwrite. A label with a bad checksum has rotted; nobody else is there.
func (f *Found) checkLabel() error {
	if len(f.Labels) == 0 {
		return nil
	}
	l := f.Labels[0]
	switch {
	case f.Super.GrowingFrom != 0 && l.torn:
		// We were writing it ourselves.
	case errors.Is(l.Err, layout.ErrBadMagic):
		return fmt.Errorf("block 0 is not the label of store %s any more (%w): something wrote over the start of the device; %w", f.Super.FSID.Short(), l.Err, ErrLabelLost)
	case l.Err == nil && (l.Label.FSID != f.Super.FSID || l.Label.DeviceUUID != f.Super.DeviceUUID):
		return fmt.Errorf("block 0 is the label of store %s, the superblocks are of store %s: %w", l.Label.FSID.Short(), f.Super.FSID.Short(), ErrLabelLost)
	}
	return nil
}

// Sound reports whether the root record could be read, whatever became of the zone
// tables.
func (r *Roots) Sound() bool { return r.sound }
