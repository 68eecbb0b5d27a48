package repair

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// restoreLabels writes the label and its copies where they are damaged. Something
// else in block 0 is left alone unless that is allowed: it may be somebody's.
func (r *repairer) restoreLabels(f *ebofs.Found) error {
	want := layout.Label{
		FSID: r.sb.FSID, DeviceUUID: r.sb.DeviceUUID, Index: r.sb.Index, Role: r.sb.Role, Blocks: r.sb.Blocks,
		Created: r.sb.Created, Slots: layout.SlotBlocks(r.sb.Blocks), Text: r.sb.Text, Cluster: r.sb.Cluster,
	}
	for _, l := range f.Labels { // text and time may differ from the superblock's
		if l.Err == nil && l.Label.FSID == want.FSID && l.Label.DeviceUUID == want.DeviceUUID {
			want.Text, want.Created, want.Cluster = l.Label.Text, l.Label.Created, l.Label.Cluster
			break
		}
	}
	labels := layout.LabelBlocks(r.sb.Blocks)
	slices.Reverse(labels) // block 0 last
	wrote := false
	for _, b := range labels {
		want.Self = b
		p := make([]byte, layout.BlockSize)
		if err := want.Encode(p); err != nil {
			return err
		}
		have, err := r.d.read(r.ctx, b, 1)
		if err == nil {
			if l, err := layout.DecodeLabel(have); err == nil && l == want {
				continue
			}
		}
		if b == 0 && err == nil {
			if err := r.mayTakeStart(have); err != nil {
				return err
			}
		}
		if err := r.d.write(r.ctx, b, p); err != nil {
			return err
		}
		if err := r.d.dev.Flush(r.ctx); err != nil {
			return err
		}
		wrote = true
		r.res.did(Action{Code: check.LabelBad, What: fmt.Sprintf("wrote the label at block %d anew", b)})
	}
	if (wrote || r.o.ClearEnds) && r.o.Mode == All {
		return r.wipeEnds()
	}
	return nil
}

// mayTakeStart says whether the label may be written over what is in block 0.
func (r *repairer) mayTakeStart(have []byte) error {
	_, err := layout.DecodeLabel(have)
	switch {
	case r.o.Overwrite:
		return nil
	case errors.Is(err, layout.ErrBadCRC): // our own label rotted
		return nil
	case isZero(have):
		// Zeroed; or a file system that begins further behind.
		if list, err := r.strange(); err != nil || len(list) == 0 {
			return err
		}
		return fmt.Errorf("block 0 is zeros, and what follows is not store %s's: %w", r.sb.FSID.Short(), ErrForeign)
	}
	if r.place.Blocks == 0 { // salvage: which store is not known yet
		return fmt.Errorf("block 0 is no label: %w", ErrForeign)
	}
	return fmt.Errorf("block 0 is not the label of store %s: %w", r.sb.FSID.Short(), ErrForeign)
}

// wipeEnds clears what an accident left in the areas at both ends that hold nothing
// but superblocks: other tools would go on finding it.
func (r *repairer) wipeEnds() error {
	list, err := r.strange()
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return nil
	}
	if err := r.d.keep(r.ctx, list); err != nil {
		return err
	}
	zero := make([]byte, layout.BlockSize)
	for _, e := range list {
		if err := r.d.write(r.ctx, e.Addr.Block(), zero); err != nil {
			return err
		}
	}
	r.res.did(Action{Code: check.LabelBad, What: fmt.Sprintf("cleared %d blocks at the ends of the device that something else had written", len(list))})
	return r.d.dev.Flush(r.ctx)
}

// strange returns the blocks of the areas at both ends that hold something and
// should not.
func (r *repairer) strange() (list []layout.Extent, err error) {
	if r.place.Blocks == 0 { // salvage: not known yet
		return nil, nil
	}
	keep := slices.Concat(layout.LabelBlocks(r.sb.Blocks), slotList(r.sb.Blocks))
	for _, area := range [...][2]uint64{{1, r.place.HeadEnd}, {r.place.TailStart, r.sb.Blocks}} {
		for b := area[0]; b < area[1]; b++ {
			if slices.Contains(keep, b) {
				continue
			}
			if p, err := r.d.read(r.ctx, b, 1); err == nil && !isZero(p) {
				list = append(list, layout.Extent{Addr: layout.MakeAddr(0, b), Blocks: 1})
			}
		}
	}
	return list, r.ctx.Err()
}

// restoreSlots writes the superblock anew to all four slots if one does not hold
// what it should.
func (r *repairer) restoreSlots() error {
	bad := false
	var best *layout.Superblock
	for i, b := range layout.SlotBlocks(r.sb.Blocks) {
		p, err := r.d.read(r.ctx, b, 1)
		if err != nil {
			bad = true
			continue
		}
		s, err := layout.DecodeSuperblock(p)
		want := r.sb.Generation
		if uint64(i%2) != want%2 {
			want--
		}
		if err != nil && want > 0 || err == nil && (s.Generation != want || s.Self.Block() != b) {
			bad = true
		}
		if err == nil && (best == nil || s.Generation > best.Generation) {
			best = &s
		}
	}
	if !bad {
		return nil
	}
	if err := r.writeSupers(); err != nil {
		return err
	}
	r.res.did(Action{Code: check.SuperBad, What: "wrote the superblock to all four slots anew"})
	return nil
}

// writeSupers writes the superblock twice, as the next two generations, so that all
// slots hold it: never both slots of a generation that is the newest durable one.
func (r *repairer) writeSupers() error {
	for range 2 {
		sb := r.sb
		r.last++
		sb.Generation, sb.Written = r.last, r.o.Now()
		head, tail := r.place.SlotsOf(sb.Generation)
		for _, b := range [...]uint64{head, tail} {
			sb.Self = layout.MakeAddr(0, b)
			p := make([]byte, layout.BlockSize)
			if err := sb.Encode(p); err != nil {
				return err
			}
			if err := r.d.write(r.ctx, b, p); err != nil {
				return err
			}
		}
		if err := r.d.dev.Flush(r.ctx); err != nil {
			return err
		}
		r.sb = sb
	}
	return nil
}

func isZero(p []byte) bool { return len(bytes.Trim(p, "\x00")) == 0 }
