package ebofs

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// PlanFormat decides what Format would do and writes nothing.
func PlanFormat(dev devices.Device, o FormatOptions) (Info, error) {
	info, _, err := planFormat(dev, &o)
	return info, err
}

func planFormat(dev devices.Device, o *FormatOptions) (Info, layout.Placement, error) {
	g := dev.Geometry()
	blocks := g.Blocks
	if o.SizeBytes != 0 {
		if o.SizeBytes/blockSize > blocks {
			return Info{}, layout.Placement{}, fmt.Errorf("size of %d bytes on a device of %d: %w", o.SizeBytes, blocks*blockSize, ErrInvalid)
		}
		blocks = o.SizeBytes / blockSize
	}
	if err := o.shape(&g); err != nil {
		return Info{}, layout.Placement{}, err
	}
	p := layout.PlanOptions{StripeBytes: g.StripeBytes, AlignBytes: g.AlignBytes, Hard: g.Hard, LogBytes: o.LogBytes, ExternalLog: o.LogDevice != nil}
	p.Slack = o.SlackPercent
	var logPlace layout.Placement
	if o.LogDevice != nil {
		var err error
		lg := o.LogDevice.Geometry()
		if logPlace, err = layout.PlanLog(lg.Blocks, layout.PlanOptions{StripeBytes: lg.StripeBytes, AlignBytes: lg.AlignBytes, LogBytes: o.LogBytes}); err != nil {
			return Info{}, logPlace, fmt.Errorf("log device: %w", err)
		}
		p.LogBytes = 0
	}
	place, err := layout.Plan(blocks, p)
	if err != nil {
		return Info{}, logPlace, err
	}
	for _, id := range []*[16]byte{&o.UUID, &o.DeviceUUID} {
		if *id == ([16]byte{}) {
			rand.Read(id[:])
			id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80 // version 4
		}
	}
	if o.KeepEpochs < 0 || o.KeepEpochs > layout.MaxKept {
		return Info{}, logPlace, fmt.Errorf("%d kept epochs: at most %d: %w", o.KeepEpochs, layout.MaxKept, ErrInvalid)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Cluster == ([16]byte{}) && o.OSD == 0 {
		o.OSD = -1
	}
	o.UnitBytes = g.UnitBytes
	info := Info{UUID: o.UUID, DeviceUUID: o.DeviceUUID, Blocks: blocks, Placement: place, Unit: g.UnitBytes, Hard: g.Hard, LogBlocks: place.RingBlocks, Reserve: reserveBlocks(&place)}
	if o.LogDevice != nil {
		info.LogBlocks = logPlace.RingBlocks
	}
	return info, logPlace, nil
}

// shape puts the stripes of o in the place of those that g reports.
func (o *FormatOptions) shape(g *devices.Geometry) error {
	if o.StripeBytes != 0 {
		g.StripeBytes = o.StripeBytes
	}
	if o.Hard != nil {
		g.Hard = *o.Hard
	}
	stripe := max(g.StripeBytes, blockSize)
	switch {
	case o.UnitBytes != 0:
		g.UnitBytes = o.UnitBytes
	case g.UnitBytes == 0 || stripe%g.UnitBytes != 0 || g.Hard && g.UnitBytes == blockSize: // no news of one
		g.UnitBytes = stripe
	}
	if o.AlignBytes != nil {
		g.AlignBytes = *o.AlignBytes
	} else {
		g.AlignBytes %= uint64(stripe)
	}
	switch {
	case stripe%blockSize != 0 || stripe > layout.MaxStripeBytes:
		return nil // layout says so
	case g.UnitBytes%blockSize != 0:
		return fmt.Errorf("unit of %d bytes: not a multiple of %d: %w", g.UnitBytes, blockSize, ErrInvalid)
	case stripe%g.UnitBytes != 0:
		return fmt.Errorf("unit of %d bytes: the stripe of %d bytes is no multiple of it: %w", g.UnitBytes, stripe, ErrInvalid)
	case g.AlignBytes >= uint64(stripe):
		return fmt.Errorf("alignment of %d bytes: not below the stripe of %d bytes: %w", g.AlignBytes, stripe, ErrInvalid)
	}
	return nil
}

// Format makes an empty store on dev. It does not look at what is there:
// refusing to overwrite is the tools' business. The label is written last, so
// that an interrupted format leaves no store.
func Format(ctx context.Context, dev devices.Device, o FormatOptions) (Info, error) {
	info, logPlace, err := planFormat(dev, &o)
	if err != nil {
		return info, err
	}
	now := o.Now()
	sb := layout.Superblock{
		FSID: info.UUID, DeviceUUID: info.DeviceUUID, Role: layout.RoleMain, UnitBytes: o.UnitBytes,
		Features: layout.Features{Incompat: layout.FeatInlineData}, Cluster: o.Cluster, OSD: o.OSD, Created: now, Text: o.Label,
		Devices: []layout.DeviceEntry{{UUID: info.DeviceUUID, Blocks: info.Blocks, Role: layout.RoleMain}},
	}
	sb.SetPlacement(info.Placement)
	if info.Placement.HardStripes {
		sb.Features.Incompat |= layout.FeatHardGeometry | layout.FeatOwnerIndex
	}
	ring := layout.Ring{Start: layout.MakeAddr(0, info.Placement.RingStart), Blocks: info.Placement.RingBlocks, Incarnation: firstIncarnation(&info, now), TailSeq: 1}
	var logUUID [16]byte
	if o.LogDevice != nil {
		rand.Read(logUUID[:])
		sb.Features.Incompat |= layout.FeatExternalLog
		sb.Devices = append(sb.Devices, layout.DeviceEntry{UUID: logUUID, Blocks: o.LogDevice.Geometry().Blocks, Role: layout.RoleLog})
		ring.Start, ring.Blocks = layout.MakeAddr(1, logPlace.RingStart), logPlace.RingBlocks
	}
	sb.Rings = []layout.Ring{ring}

	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	// What an earlier store left must not be found again.
	devs := []formatDevice{{dev, sb, info.Placement, 0}}
	if o.LogDevice != nil {
		lsb := sb
		lsb.DeviceUUID, lsb.Index, lsb.Role, lsb.Rings = logUUID, 1, layout.RoleLog, nil
		lsb.Generation, lsb.Epoch = 1, 1
		lsb.SetPlacement(logPlace)
		devs = append(devs, formatDevice{o.LogDevice, lsb, logPlace, 1})
	}
	for i := range devs {
		if err := devs[i].wipe(ctx, pool); err != nil {
			return info, err
		}
	}
	if err := formatMain(ctx, dev, &sb, &o); err != nil {
		return info, err
	}
	for i := len(devs) - 1; i >= 0; i-- {
		if err := devs[i].label(ctx, pool, &o, now, info.UUID); err != nil {
			return info, err
		}
	}
	return info, nil
}

// firstIncarnation is where the log's incarnations begin. The ring keeps what an
// earlier store left in it; one made under the same id must not take its own
// batches up where that one's go on, so they begin somewhere else each time.
func firstIncarnation(info *Info, now time.Time) uint64 {
	return 1 + (binary.LittleEndian.Uint64(info.DeviceUUID[:])^uint64(now.UnixNano()))>>2
}

// formatMain writes the first checkpoint, of an empty store.
func formatMain(ctx context.Context, dev devices.Device, sb *layout.Superblock, o *FormatOptions) error {
	s := &Store{main: dev, logAt: dev, super: *sb, place: sb.Placement(), incarnation: sb.Rings[0].Incarnation}
	s.opt = Options{Inline: true, Now: o.Now, MemoryBytes: minMemory}
	if err := s.opt.fill(); err != nil {
		return err
	}
	s.log, s.now = s.opt.Logger, s.opt.Now
	s.room = sync.NewCond(&s.roomMu)
	if err := s.budget(); err != nil {
		return err
	}
	var err error
	if s.space, err = newSpace(s, nil, nil, nil); err == nil {
		s.space.onLost = s.lostZone
		err = s.space.takeFixed(ctx)
	}
	if err == nil {
		s.openTrees(&layout.RootRecord{})
		s.epoch = 1
		s.journals.begin(s.epoch)
		s.kept.want = uint16(o.KeepEpochs)
		err = s.checkpoint(ctx, true)
	}
	return errors.Join(err, s.free())
}

// formatDevice is one device being formatted.
type formatDevice struct {
	dev   devices.Device
	super layout.Superblock
	place layout.Placement
	index uint8
}

// wipe zeroes labels and slots, those of the whole device too where the store uses
// but a part of it, and makes that durable. What is in the ring is told apart by its
// incarnation.
func (d *formatDevice) wipe(ctx context.Context, pool *devices.Pool) error {
	f := pool.Get(blockSize)
	defer f.Release()
	clear(f.Bytes())
	whole := d.dev.Geometry().Blocks
	slots := layout.SlotBlocks(whole)
	blocks := slices.Concat(d.place.Labels, d.place.Slots[:], layout.LabelBlocks(whole), slots[:])
	slices.Sort(blocks)
	blocks = slices.Compact(blocks)
	for _, b := range blocks {
		if err := d.dev.Write(ctx, devices.Block(b), devices.Vec{f.Bytes()}); err != nil {
			return fmt.Errorf("device %d: %w", d.index, err)
		}
	}
	return d.dev.Flush(ctx)
}

// label writes the superblock of a secondary device and, last, the labels.
func (d *formatDevice) label(ctx context.Context, pool *devices.Pool, o *FormatOptions, now time.Time, fsid layout.UUID) error {
	f := pool.Get(blockSize)
	defer f.Release()
	put := func(b uint64) error {
		if err := d.dev.Write(ctx, devices.Block(b), devices.Vec{f.Bytes()}); err != nil {
			return fmt.Errorf("device %d: %w", d.index, err)
		}
		return nil
	}
	if d.index != 0 {
		for _, b := range d.place.Slots {
			d.super.Self = layout.MakeAddr(d.index, b)
			if err := d.super.Encode(f.Bytes()); err != nil {
				return err
			}
			if err := put(b); err != nil {
				return err
			}
		}
		if err := d.dev.Flush(ctx); err != nil {
			return err
		}
	}
	l := layout.Label{
		FSID: fsid, DeviceUUID: d.super.DeviceUUID, Index: d.index, Role: d.super.Role, Blocks: d.place.Blocks,
		Created: now, Slots: d.place.Slots, Text: o.Label, Cluster: o.Cluster,
	}
	return writeLabels(ctx, d.dev, pool, &l, d.place.Labels)
}

// writeLabels writes l to blocks, the last first, so that block 0 comes last, and
// makes each durable before the next.
func writeLabels(ctx context.Context, dev devices.Device, pool *devices.Pool, l *layout.Label, blocks []uint64) error {
	f := pool.Get(blockSize)
	defer f.Release()
	for _, b := range slices.Backward(blocks) {
		l.Self = b
		if err := l.Encode(f.Bytes()); err != nil {
			return err
		}
		if err := dev.Write(ctx, devices.Block(b), devices.Vec{f.Bytes()}); err != nil {
			return fmt.Errorf("device %d: label: %w", l.Index, err)
		}
		if err := dev.Flush(ctx); err != nil {
			return err
		}
	}
	return nil
}
