package repair

import (
	"errors"
	"fmt"

	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// replay mounts the store for writing and closes it: the store itself knows best
// how its log is applied. What it cannot read it marks.
func (r *repairer) replay() error {
	s, err := ebofs.Open(r.ctx, r.d.dev, ebofs.Options{Inline: true, ReplayImage: true, MemoryBytes: 128 << 20, LogDevice: r.o.LogDevice, Logger: r.o.Logger, Now: r.o.Now})
	if err != nil {
		return err
	}
	if err := s.Close(r.ctx); err != nil {
		return err
	}
	found, err := ebofs.Find(r.ctx, r.d.dev)
	if err != nil {
		return err
	}
	r.sb, r.last = found.Super, layout.LastGeneration(found.Slots, &found.Super)
	r.replayed = true
	r.res.did(Action{Code: check.LogDamage, What: "replayed the log and closed the store"})
	return nil
}

// readLog notes what the log holds, for a repair that comes before its replay.
func (r *repairer) readLog() error {
	log := r.d.dev
	if len(r.sb.Rings) != 1 {
		return fmt.Errorf("store with %d logs: %w", len(r.sb.Rings), ebofs.ErrUnsupported)
	}
	if r.sb.Rings[0].Start.Device() != 0 {
		if log = r.o.LogDevice; log == nil {
			return fmt.Errorf("%w: the store was not closed cleanly and its log is on another device", ebofs.ErrLogMissing)
		}
	}
	c, err := ebofs.ReadLog(r.ctx, log, &r.sb)
	if err != nil {
		return err
	}
	if c.Damage != nil {
		return fmt.Errorf("the log is damaged as well (%w): restore the objects from another copy", errors.Join(c.Damage, layout.ErrCorrupt))
	}
	r.logged = c
	return nil
}
