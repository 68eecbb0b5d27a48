package ebofs

import (
	"context"
	"errors"
	"fmt"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
	"ebofs/internal/planted"
)

// recover brings back what the log holds beyond the newest checkpoint, by
// applying its changes as the transactions themselves did, and makes the store
// ready for new ones. roots are those of the newest checkpoint.
func (s *Store) recover(ctx context.Context, roots *Roots) error {
	if s.logAt == nil {
		return nil // see findLog
	}
	ring := &s.super.Rings[0]
	cut := s.txid
	replayed := 0
	res, err := wal.Scan(ctx, s.logAt, s.logConfig(ring.Incarnation), wal.Pos{Block: ring.TailBlock, Seq: ring.TailSeq}, func(r wal.Record) error {
		if r.Txid <= cut {
			return nil
		}
		if err := s.replay(ctx, r); err != nil {
			return err
		}
		replayed++
		return nil
	})
	if err != nil {
		return fmt.Errorf("log: %w", err)
	}
	if res.Damage != nil {
		if !s.opt.ReadOnly {
			return fmt.Errorf("log: %w: %w; open it read-only to see what is left", res.Damage, ErrCorrupt)
		}
		s.degrade(fmt.Sprintf("log: %v: transactions behind it are missing", res.Damage))
		s.log.Error("log is damaged", "err", res.Damage)
	}
	s.log.Info("log replayed", "records", replayed, "end", res.Reason)
	if s.opt.ReadOnly {
		return nil
	}
	// What the log names is taken; what kept epochs need and the rest of the
	// reserve can be.
	if err := s.holdKept(ctx, roots); err != nil {
		return err
	}
	s.limbo.want = s.super.Epoch
	if err := s.refill(ctx); err != nil {
		return err
	}
	if !s.space.holds(len(s.kept.list) > 0, s.metaBlocks.Load()) {
		s.kept.yield = len(s.kept.list)
	}
	s.incarnation = ring.Incarnation + 1
	s.wal = wal.New(s.logAt, s.logConfig(s.incarnation), res.End, 0)
	if replayed > 0 || s.kept.yield > 0 {
		// The records lie in the old incarnation, which nobody reads once this
		// checkpoint is durable.
		return s.checkpoint(ctx, false)
	}
	sb := s.super
	sb.Generation++
	sb.Flags &^= layout.SuperClean
	sb.Rings = append([]layout.Ring(nil), sb.Rings...)
	r := &sb.Rings[0]
	r.Incarnation, r.TailBlock, r.TailSeq, r.PrevCRC = s.incarnation, res.End.Block, res.End.Seq, 0
	if err := s.writeSuper(ctx, &sb); err != nil {
		return err
	}
	s.super = sb
	return nil
}

// replay applies one record. It ends the log with wal.ErrStop before a record
// that was never committed: one whose data did not reach the device.
func (s *Store) replay(ctx context.Context, r wal.Record) error {
	_, cs, err := decodeRecord(r.Data)
	if err != nil {
		return fmt.Errorf("transaction %d: %w", r.Txid, err)
	}
	if r.Flags&wal.NeedsDataFlush != 0 && !r.Committed {
		ok, err := s.dataThere(ctx, cs)
		if err != nil {
			return fmt.Errorf("transaction %d: %w", r.Txid, err)
		}
		if !ok {
			return wal.ErrStop
		}
	}
	dirty := int64(0)
	for i := range cs {
		c := &cs[i]
		for _, p := range c.place {
			if err := s.replayPlaced(ctx, p); err != nil {
				return fmt.Errorf("transaction %d: %w", r.Txid, err)
			}
		}
		c.data = append([]byte(nil), c.data...)
		dirty += c.dirtyBytes()
		s.nextID.Store(max(s.nextID.Load(), c.id))
		if c.code.onColl() {
			s.apply(cs[i:i+1], nil, s.epoch)
			continue
		}
		if planted.On(planted.ReplaySkips) && c.code == opSetAttrs {
			continue
		}
		if err := s.replayOn(ctx, c); err != nil {
			return fmt.Errorf("transaction %d: %w", r.Txid, err)
		}
	}
	s.txid = r.Txid
	s.dirty.account(s.epoch, dirty, spaceTokens{})
	return nil
}

// replayOn finds the objects of a change and applies it.
func (s *Store) replayOn(ctx context.Context, c *change) error {
	var objects []objectView
	for _, x := range [...]struct {
		key string
		o   **onode
	}{{c.key, &c.o}, {c.to, &c.dst}} {
		if x.key == "" {
			continue
		}
		if _, err := layout.DecodeObjectKey([]byte(x.key)); err != nil {
			return err
		}
		o, err := s.onodeOf(ctx, []byte(x.key), true)
		if err != nil {
			return err
		}
		defer o.refs.Add(-1)
		if o.loadErr != nil && (c.code != opRemove || o.doomed == nil) {
			if s.opt.ReadOnly {
				return nil
			}
			if s.outage(ctx, o.loadErr) {
				return o.loadErr // another mount may be able to read it
			}
			if !c.code.clones() { // what it would become is lost, not what it is
				s.lost(o, s.epoch)
				return nil
			}
		}
		*x.o = o
		if o != c.o || len(objects) == 0 { // a clone of a range may be within one
			objects = append(objects, objectView{o: o})
		}
	}
	if (c.code == opRename || c.code.clones()) && c.dst == nil {
		return fmt.Errorf("rename or clone without a target: %w", ErrCorrupt)
	}
	s.apply([]change{*c}, objects, s.epoch)
	return nil
}

// replayPlaced takes blocks a record names out of the free space.
func (s *Store) replayPlaced(ctx context.Context, p placed) error {
	b, n := p.addr.Block(), uint64(len(p.crc))
	if p.addr.Device() != 0 || n == 0 || b < s.place.ZoneStart || b+n > s.place.ZoneEnd {
		return fmt.Errorf("blocks %v~%d lie outside the zones: %w", p.addr, n, ErrCorrupt)
	}
	if s.opt.ReadOnly {
		return nil // nothing is ever allocated
	}
	err := s.space.markUsed(ctx, allocator.Extent{Start: b, Blocks: n})
	if errors.Is(err, allocator.ErrUsed) {
		err = fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	if err != nil {
		return fmt.Errorf("blocks %v~%d: %w", p.addr, n, err)
	}
	return nil
}

// dataThere reports whether the blocks a record names hold what it says.
func (s *Store) dataThere(ctx context.Context, cs []change) (bool, error) {
	f := s.pool.Get(blockSize)
	defer f.Release()
	for i := range cs {
		for _, p := range cs[i].place {
			for j, crc := range p.crc {
				b := devices.Block(p.addr.Block() + uint64(j))
				if err := readRetry(ctx, s.main, b, f.Bytes()); err != nil {
					if errors.Is(err, devices.ErrRange) {
						return false, fmt.Errorf("%w: %w", err, ErrCorrupt)
					}
					if ctx.Err() != nil {
						return false, ctx.Err() // says nothing about the block
					}
					if s.outage(ctx, err) {
						return false, err // nor does a device that reads nothing
					}
					return false, nil // torn: never committed
				}
				if layout.CRC(f.Bytes()) != crc && !planted.On(planted.TornBelieved) {
					return false, nil
				}
			}
		}
	}
	return true, nil
}
