package ebofs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// AddLogOptions say how AddLog works. The zero value works.
type AddLogOptions struct {
	LogBytes    uint64 // of the new log; 0: as much as the device has in one piece
	MemoryBytes int64  // see Options
	// Prepare, if set, is called when all checks have passed, before the first write
	// to the log device.
	Prepare func() error
	Logger  *slog.Logger
	Now     func() time.Time
}

// AddLogResult says what AddLog did or would do.
type AddLogResult struct {
	FSID       layout.UUID
	DeviceUUID layout.UUID // of the new log device
	LogBlocks  uint64
	// Freed are blocks of the old log that became space of zones; Left are those that
	// cannot: a log before the first zone is in no zone.
	Freed, Left uint64
}

// PlanAddLog decides what AddLog would do to the store of sb, and writes nothing.
func PlanAddLog(sb *layout.Superblock, log devices.Device, o AddLogOptions) (AddLogResult, error) {
	r, _, err := planAddLog(sb, log, &o)
	return r, err
}

func planAddLog(sb *layout.Superblock, log devices.Device, o *AddLogOptions) (AddLogResult, layout.Placement, error) {
	r := AddLogResult{FSID: sb.FSID}
	switch {
	case sb.Role != layout.RoleMain:
		return r, layout.Placement{}, fmt.Errorf("device is the %v of store %s, not its main device: %w", sb.Role, sb.FSID.Short(), ErrInvalid)
	case len(sb.Rings) != 1 || sb.Rings[0].Start.Device() != 0 || len(sb.Devices) != 1:
		return r, layout.Placement{}, fmt.Errorf("store %s has a log device already: %w", sb.FSID.Short(), ErrExists)
	}
	g := log.Geometry()
	p, err := layout.PlanLog(g.Blocks, layout.PlanOptions{StripeBytes: g.StripeBytes, AlignBytes: g.AlignBytes, LogBytes: o.LogBytes})
	if err != nil {
		return r, p, fmt.Errorf("log device: %w", err)
	}
	r.LogBlocks = p.RingBlocks
	ring := sb.Rings[0]
	for _, e := range inZones(sb.Placement(), allocator.Extent{Start: ring.Start.Block(), Blocks: ring.Blocks}) {
		r.Freed += e.Blocks
	}
	r.Left = ring.Blocks - r.Freed
	return r, p, nil
}

// inZones returns the part of e that lies in zones.
func inZones(p layout.Placement, e allocator.Extent) []allocator.Extent {
	lo, hi := max(e.Start, p.ZoneStart), min(e.End(), p.ZoneEnd)
	if lo >= hi {
		return nil
	}
	return []allocator.Extent{{Start: lo, Blocks: hi - lo}}
}

// AddLog moves the log of the store on main, which nobody has mounted, to a device of
// its own. What log holds is destroyed: refusing that is the tools' business. When it
// returns the store is closed and wants log at every mount.
//
// The log device is made first and is nobody's until one superblock of main names its
// ring, in the checkpoint of an epoch that leaves nothing to replay. A crash leaves the
// store with the one log or the other, and with all that was committed; if it is the
// old one, AddLog may be called again.
func AddLog(ctx context.Context, main, log devices.Device, o AddLogOptions) (AddLogResult, error) {
	s, err := Open(ctx, main, Options{Inline: true, MemoryBytes: o.MemoryBytes, Logger: o.Logger, Now: o.Now})
	if err != nil {
		return AddLogResult{}, err
	}
	sb := s.Superblock()
	r, place, err := planAddLog(&sb, log, &o)
	if err != nil {
		return r, errors.Join(err, s.Close(ctx))
	}
	return r, s.shut(ctx, func(ctx context.Context) error {
		// With nothing left to reap or fold the last checkpoint is a small one.
		if err := s.closeClean(ctx); err != nil {
			return err
		}
		if o.Prepare != nil {
			if err := o.Prepare(); err != nil {
				return err
			}
		}
		return s.moveLog(ctx, log, place, &r)
	})
}

// moveLog formats log and makes the checkpoint that names it. It is the last thing
// done to a store: the open log is still the old one.
func (s *Store) moveLog(ctx context.Context, log devices.Device, place layout.Placement, r *AddLogResult) error {
	sb := s.Superblock()
	rand.Read(r.DeviceUUID[:])
	r.DeviceUUID[6], r.DeviceUUID[8] = r.DeviceUUID[6]&0x0f|0x40, r.DeviceUUID[8]&0x3f|0x80 // version 4
	now := s.now()
	list := append(slices.Clone(sb.Devices), layout.DeviceEntry{UUID: r.DeviceUUID, Blocks: log.Geometry().Blocks, Role: layout.RoleLog})

	d := formatDevice{log, sb, place, 1}
	d.super.DeviceUUID, d.super.Index, d.super.Role = r.DeviceUUID, 1, layout.RoleLog
	d.super.Rings, d.super.Root, d.super.Flags, d.super.Generation, d.super.Epoch = nil, layout.Ref{}, 0, 1, 1
	d.super.Features.Incompat |= layout.FeatExternalLog
	d.super.Devices = list
	d.super.SetPlacement(place)
	if err := d.wipe(ctx, s.pool); err != nil {
		return err
	}
	if err := d.label(ctx, s.pool, &FormatOptions{Label: sb.Text, Cluster: sb.Cluster}, now, sb.FSID); err != nil {
		return err
	}

	s.ckptMu.Lock()
	defer s.ckptMu.Unlock()
	// The zones the old log lies in get a new count.
	old := s.super.Rings[0]
	for _, e := range inZones(s.place, allocator.Extent{Start: old.Start.Block(), Blocks: old.Blocks}) {
		for z := s.space.zoneOf(e.Start); z <= s.space.zoneOf(e.End()-1); z++ {
			if err := s.space.ensure(ctx, z); err != nil {
				return err
			}
		}
	}
	to := s.place
	to.RingStart, to.RingBlocks = 0, 0
	id := Info{DeviceUUID: r.DeviceUUID}
	return s.checkpointLocked(ctx, true, &relayout{place: to, from: s.place, edit: func(sb *layout.Superblock) {
		sb.Features.Incompat |= layout.FeatExternalLog
		sb.Devices = list
		sb.Rings = []layout.Ring{{Start: layout.MakeAddr(1, place.RingStart), Blocks: place.RingBlocks, Incarnation: firstIncarnation(&id, now), TailSeq: 1}}
	}})
}
