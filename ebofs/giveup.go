package ebofs

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// What a checkpoint does about things it has to read and cannot: it gives them
// up, so that damage costs itself and not the store (G9). A node is marked in
// its parent, an object in its onode, a zone in the zone table; what is marked
// is never believed again, since changes to it were lost, even should the
// device recover. Only a repair takes a mark away.
//
//	node of a tree      its keys fail; other keys go on (btree.GiverUp)
//	record of a chunk   its leaf is given up
//	onode of a change   the object fails, or its leaf is given up
//	bitmap of a zone    the zone counts as used (space.lose)

// maxUnreadable is how many things one checkpoint gives up that the device did
// not answer for: more is not damage but a device about to go, and the store
// stops with everything since the last checkpoint safe in the log. Of what it
// answered for wrongly any number is given up.
const maxUnreadable = 1024

// outage says whether cause, an error of a read, is the device's as a whole:
// then what it kept back may well be sound.
func (s *Store) outage(ctx context.Context, cause error) bool {
	if errors.Is(cause, ErrCorrupt) || planted.On(planted.OutageIgnored) {
		return false // it answers
	}
	f := s.pool.Get(blockSize)
	defer f.Release()
	return readRetry(ctx, s.main, devices.Block(s.super.Root.Addr.Block()), f.Bytes()) != nil
}

// giveUp notes that changes are lost to one more thing that cannot be read.
func (ck *checkpoint) giveUp(cause error) error {
	if err := ck.doWithout(cause); err != nil {
		return err
	}
	ck.s.metrics.GivenUp.Add(1)
	ck.s.log.Error("changes to damaged metadata are lost", "err", cause)
	return nil
}

// doWithout says whether the checkpoint can go on without what cause kept from
// it.
func (ck *checkpoint) doWithout(cause error) error {
	if errors.Is(cause, ErrCorrupt) {
		return nil
	}
	if ck.unreadable++; ck.unreadable > maxUnreadable {
		return fmt.Errorf("%d things cannot be read, the last: %w", ck.unreadable, cause)
	}
	if ck.s.outage(ck.ctx, cause) {
		return cause
	}
	return nil
}

// GiveUp implements btree.GiverUp.
func (m *metaSink) GiveUp(cfg *btree.Config, own *btree.Owner, low, high []byte, p btree.Ptr, changes int, cause error) error {
	a := layout.Addr(p.Addr)
	err := fmt.Errorf("tree %s of object id %d: node at device %d block %d level %d, %d changes: %w",
		cfg.Name, own.ID, a.Device(), a.Block(), p.Level, changes, cause)
	if changes == 0 {
		m.ck.s.log.Warn("a damaged node is dropped, what it named stays used", "err", err)
		return m.ck.doWithout(err)
	}
	if cfg == m.ck.s.cfg.objects {
		m.ck.lostKeys = append(m.ck.lostKeys, keyRange{bytes.Clone(low), bytes.Clone(high)})
	}
	return m.ck.giveUp(err)
}

// maxLostZones is how many zones a store does without before it stops.
const maxLostZones = 64

// lostZone says whether to go on without the bitmap of a zone.
func (s *Store) lostZone(zone int, cause error) error {
	if s.lostZones++; s.lostZones > maxLostZones || s.outage(context.Background(), cause) {
		return cause
	}
	s.metrics.GivenUp.Add(1)
	s.log.Error("the bitmap of a zone cannot be read: its free blocks are not used any more", "zone", zone, "err", cause)
	return nil
}

// loseObjects marks objects whose changes were lost because they could not be
// loaded.
func (ck *checkpoint) loseObjects(keys []string) error {
	seen := make(map[string]bool, len(keys))
	for _, key := range keys {
		if seen[key] {
			continue
		}
		seen[key] = true
		val, ok, err := ck.s.objects.GetFrozen(ck.ctx, []byte(key), nil)
		if err := ck.giveUp(fmt.Errorf("object %s: %w", objectName(key), cmp.Or(err, errLost))); err != nil {
			return err
		}
		if err != nil {
			ck.s.objects.LoseFrozen([]byte(key))
			continue
		}
		on := layout.Onode{ID: ck.s.nextID.Add(1)}
		if ok && len(val) > 0 { // empty: it was to be made in this epoch
			if on, err = layout.DecodeOnode(val); err != nil {
				continue // it will fail for ever as it is
			}
		}
		on.Flags |= layout.OnodeDamaged
		if val, err = on.Append(nil); err != nil {
			return fmt.Errorf("object %s: %w", objectName(key), err)
		}
		ck.s.objects.PutFrozen([]byte(key), val)
	}
	return nil
}

// dropLost makes the objects in RAM fail whose leaves were given up.
func (ck *checkpoint) dropLost() {
	if len(ck.lostKeys) == 0 {
		return
	}
	var lost []*onode
	ck.s.onodes.each(func(o *onode) {
		for _, r := range ck.lostKeys {
			if o.key >= string(r.lo) && (r.hi == nil || o.key < string(r.hi)) {
				o.refs.Add(1)
				lost = append(lost, o)
				return
			}
		}
	})
	for _, o := range lost {
		o.waitLoaded()
		o.mu.Lock()
		if b := o.cur; b != nil {
			b.home.Store(nil)
		}
		o.cur = nil
		o.loadErr = fmt.Errorf("object %s: changes to it were lost: %w", objectName(o.key), ErrCorrupt)
		o.mu.Unlock()
		o.refs.Add(-1)
	}
}
