package check

import (
	"context"
	"errors"
	"fmt"

	"ebofs/ebofs/layout"
)

// slotNames are the superblock slots in the order of layout.SlotBlocks.
var slotNames = [4]string{"superblock H0", "superblock H1", "superblock Z0", "superblock Z1"}

// labelRead is what was found where a label should be.
type labelRead struct {
	block uint64
	label layout.Label
	err   error
}

// found is what labels and slots of a device say.
type found struct {
	labels []labelRead
	slots  []layout.Candidate
	sb     *layout.Superblock
}

// find reads the labels and slots of a device and picks the newest superblock.
func find(ctx context.Context, r *reader) (found, error) {
	var f found
	if r.blocks < layout.MinLogDeviceBytes/layout.BlockSize {
		return f, fmt.Errorf("device of %d blocks: %w", r.blocks, ErrNoStore)
	}
	var labels []layout.Label
	for _, b := range layout.LabelBlocks(r.blocks) {
		l := labelRead{block: b}
		var p []byte
		if p, l.err = r.read(ctx, b, 1, nil); l.err == nil {
			if l.label, l.err = layout.DecodeLabel(p); l.err == nil && l.label.Self != b {
				l.err = fmt.Errorf("label of block %d: %w", l.label.Self, layout.ErrMisplaced)
			}
		}
		if l.err == nil {
			labels = append(labels, l.label)
		}
		f.labels = append(f.labels, l)
	}
	if ctx.Err() != nil {
		return f, ctx.Err()
	}
	slots, best, err := layout.Locate(r.blocks, labels, func(b uint64) ([]byte, error) { return readSlot(ctx, r, b) })
	f.slots = slots
	if err != nil {
		if errors.Is(err, layout.ErrNoSuperblock) && labels == nil && !errors.Is(err, layout.ErrBadCRC) && !errors.Is(err, layout.ErrTorn) {
			err = fmt.Errorf("neither label nor superblock: %w", ErrNoStore)
		}
		return f, err
	}
	f.sb = best
	return f, nil
}

func readSlot(ctx context.Context, r *reader, b uint64) ([]byte, error) {
	p, err := r.read(ctx, b, 1, func(p []byte) error {
		_, err := layout.DecodeSuperblock(p)
		return err
	})
	if err != nil && p == nil {
		// The decoder's verdict is wanted, not that of the read.
		return r.read(ctx, b, 1, nil)
	}
	return p, err
}

// checkSupers finds the store and compares labels and slots with each other.
func (c *checker) checkSupers(ctx context.Context, ph *Phase) error {
	if c.o.Super != nil && (c.o.Online == nil || c.o.Online.Again) {
		c.look(c.o.Super)
		ph.Note = notChecked
		return nil
	}
	f, err := find(ctx, c.main)
	// Of a store in use two slots may be on their way to the device.
	for try := 1; err != nil && c.o.Online != nil && try < readTries && ctx.Err() == nil; try++ {
		f, err = find(ctx, c.main)
	}
	if err != nil {
		return err
	}
	if f.sb.Flags&layout.SuperFormatting != 0 {
		return fmt.Errorf("mkfs did not finish: %w", ErrNoStore)
	}
	if f.sb.Index != 0 || f.sb.Role != layout.RoleMain {
		return fmt.Errorf("this is the %v device of store %v, check its main device: %w", f.sb.Role, f.sb.FSID, ErrNoStore)
	}
	sb := f.sb
	if c.o.Online != nil {
		if sb = c.o.Super; sb.FSID != f.sb.FSID {
			return fmt.Errorf("store %v, not %v: %w", f.sb.FSID, sb.FSID, ErrNoStore)
		}
		ph.Note = "in use"
	}
	c.look(sb)
	if c.main.blocks < c.sb.Blocks {
		c.out.add(Problem{Code: DeviceShort, Where: "device", Expected: fmt.Sprintf("%d blocks", c.sb.Blocks), Found: fmt.Sprintf("%d blocks", c.main.blocks)})
	}
	c.checkLabels(&f, f.sb, 0)
	cut := c.checkSlots(&f, f.sb, 0)
	switch spare := (c.main.blocks - min(c.main.blocks, f.sb.Blocks)) * layout.BlockSize; {
	case ph.Note != "":
	case f.sb.GrowingFrom != 0:
		ph.Note = "a grow is not finished, the next mount for writing ends it"
	case cut:
		ph.Note = "the last close was cut off between two copies, the next mount writes both"
	case spare >= noteSpare:
		ph.Note = fmt.Sprintf("the device has %s more than the store", size(spare))
	}
	return c.findLog(ctx)
}

// look makes the checkpoint of sb the one to check.
func (c *checker) look(sb *layout.Superblock) {
	c.sb = *sb
	c.place = c.sb.Placement()
	c.fixed = c.place.Fixed()
	c.out.mu.Lock()
	defer c.out.mu.Unlock()
	c.rep.Store, c.rep.Label = c.sb.FSID.String(), c.sb.Text
	c.rep.Epoch, c.rep.Clean = c.sb.Epoch, c.sb.Clean()
}

// noteSpare is from how many bytes on it is worth saying that a device is larger than
// its store: below, "device grow" finds nothing to gain.
const noteSpare = 8 << 20

// growing reports whether a grow that was cut off explains the label: it is of the
// size before, or was being written.
func growing(l *labelRead, sb *layout.Superblock) bool {
	if sb.GrowingFrom == 0 {
		return false
	}
	if l.err != nil {
		return errors.Is(l.err, layout.ErrBadMagic) || errors.Is(l.err, layout.ErrBadCRC)
	}
	return l.label.FSID == sb.FSID && l.label.DeviceUUID == sb.DeviceUUID && l.label.Index == sb.Index &&
		l.label.Blocks == sb.GrowingFrom && l.label.Slots == layout.SlotBlocks(sb.GrowingFrom)
}

// checkLabels reports labels that are damaged or name another device.
func (c *checker) checkLabels(f *found, sb *layout.Superblock, dev uint8) {
	for _, b := range layout.LabelBlocks(sb.Blocks) {
		where := "label"
		if b > 0 {
			where = "label copy"
		}
		var l *labelRead
		for i := range f.labels {
			if f.labels[i].block == b {
				l = &f.labels[i]
			}
		}
		switch {
		case l == nil: // beyond the end of a device that was cut
		case growing(l, sb):
		case l.err != nil:
			c.out.add(Problem{Code: LabelBad, Where: where, Device: dev, Address: b, Blocks: 1, Expected: "a label", Found: l.err.Error()})
		case l.label.FSID != sb.FSID || l.label.DeviceUUID != sb.DeviceUUID || l.label.Index != sb.Index:
			c.out.add(Problem{Code: LabelOther, Where: where, Device: dev, Address: b, Blocks: 1,
				Expected: fmt.Sprintf("device %d (%v) of store %v", sb.Index, sb.DeviceUUID, sb.FSID),
				Found:    fmt.Sprintf("device %d (%v) of store %v", l.label.Index, l.label.DeviceUUID, l.label.FSID)})
		case l.label.Slots != layout.SlotBlocks(sb.Blocks) || l.label.Blocks != sb.Blocks:
			c.out.add(Problem{Code: LabelBad, Where: where, Device: dev, Address: b, Blocks: 1,
				Expected: fmt.Sprintf("%d blocks", sb.Blocks), Found: fmt.Sprintf("%d blocks", l.label.Blocks)})
		}
	}
}

// checkSlots reports slots that do not hold what they must, and whether a close was
// cut off. Of a closed store that is the newest generation in the slots of its parity
// and the one before in the others: a mount and a close write one each. If the close
// was cut off between its two writes, one of them holds the generation before that
// still, or is torn. Of an open store, repeated crashes may have torn or skipped any
// slot but one, so only what no crash explains is a problem: a slot that cannot be
// read, or that holds a sound block of another place or kind.
func (c *checker) checkSlots(f *found, sb *layout.Superblock, dev uint8) (cut bool) {
	for i := range f.slots {
		s := &f.slots[i]
		want := sb.Generation
		if uint64(i%2) != want%2 {
			want--
		}
		torn := errors.Is(s.Err, layout.ErrBadCRC) || errors.Is(s.Err, layout.ErrTorn) || errors.Is(s.Err, layout.ErrBadMagic)
		switch {
		case s.Err == nil && s.Super.Generation == want:
		case s.Err == nil && (dev != 0 || !sb.Clean()): // a log device's are written once, to all slots
		case torn && (want == 0 || !sb.Clean()): // never written, or torn
		case want == sb.Generation && (errors.Is(s.Err, layout.ErrTorn) || s.Err == nil && s.Super.Generation+2 == want):
			cut = true
		default:
			p := Problem{Code: SuperBad, Where: slotNames[i], Device: dev, Address: s.Addr.Block(), Blocks: 1, Expected: fmt.Sprintf("generation %d", want)}
			if p.Found = fmt.Sprintf("generation %d", s.Super.Generation); s.Err != nil {
				p.Found = s.Err.Error()
			}
			c.out.add(p)
		}
	}
	return cut
}

// findLog decides which device holds the ring.
func (c *checker) findLog(ctx context.Context) error {
	if len(c.sb.Rings) == 0 || c.sb.Rings[0].Start.Device() == 0 {
		c.log = c.main
		return nil
	}
	idx := c.sb.Rings[0].Start.Device()
	want := c.sb.Devices[idx]
	missing := func(found string) {
		c.incomplete()
		c.out.add(Problem{Code: LogMissing, Where: "log device", Device: idx, Expected: "device " + want.UUID.String(), Found: found})
	}
	if c.o.LogDevice == nil {
		missing("none given")
		return nil
	}
	r := &reader{dev: c.o.LogDevice, blocks: c.o.LogDevice.Geometry().Blocks, pool: c.pool}
	f, err := find(ctx, r)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil:
		missing(err.Error())
		return nil
	case f.sb.FSID != c.sb.FSID || f.sb.DeviceUUID != want.UUID || f.sb.Index != idx:
		c.incomplete()
		c.out.add(Problem{Code: SuperOther, Where: "log device", Device: idx,
			Expected: fmt.Sprintf("device %d (%v) of store %v", idx, want.UUID, c.sb.FSID),
			Found:    fmt.Sprintf("device %d (%v) of store %v", f.sb.Index, f.sb.DeviceUUID, f.sb.FSID)})
		return nil
	}
	c.log = r
	c.checkLabels(&f, f.sb, idx)
	c.checkSlots(&f, f.sb, idx)
	return nil
}
