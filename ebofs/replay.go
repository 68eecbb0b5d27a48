package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
	"ebofs/internal/planted"
)

// replayer applies the records of the log.
type replayer struct {
	s       *Store
	records int
	tokens  spaceTokens // what the checkpoint of all of them allocates at most
	longest uint64
	cold    []*onode // stubs that nobody reads yet, each with a reference
}

// replay applies one record. It ends the log with wal.ErrStop before a record
// that was never committed: one whose data did not reach the device.
func (r *replayer) replay(ctx context.Context, rec wal.Record) error {
	s := r.s
	_, cs, err := decodeRecord(rec.Data)
	if err != nil {
		return fmt.Errorf("transaction %d: %w", rec.Txid, err)
	}
	if rec.Flags&wal.NeedsDataFlush != 0 && !rec.Committed {
		ok, err := s.dataThere(ctx, cs)
		if err != nil {
			return fmt.Errorf("transaction %d: %w", rec.Txid, err)
		}
		if !ok {
			return wal.ErrStop
		}
	}
	for i := range cs {
		if err := cs[i].checkKeys(); err != nil {
			return fmt.Errorf("transaction %d: %w", rec.Txid, err)
		}
	}
	if err := r.cost(ctx, cs); err != nil {
		return fmt.Errorf("transaction %d: %w", rec.Txid, err)
	}
	for i := range cs {
		c := &cs[i]
		for _, p := range c.place {
			if err := s.replayPlaced(ctx, p); err != nil {
				return fmt.Errorf("transaction %d: %w", rec.Txid, err)
			}
		}
		if c.code == opWrite {
			c.data = s.journals.of(s.epoch).keep(c.data)
		} else {
			c.data = bytes.Clone(c.data)
		}
		s.nextID.Store(max(s.nextID.Load(), c.id))
		if c.code.onColl() {
			s.apply(cs[i:i+1], nil, s.epoch)
			continue
		}
		if planted.On(planted.ReplaySkips) && c.code == opSetAttrs {
			continue
		}
		if err := r.replayOn(ctx, c); err != nil {
			return fmt.Errorf("transaction %d: %w", rec.Txid, err)
		}
	}
	s.txid = rec.Txid
	s.dirty.account(s.epoch, burdenOf(cs, spaceTokens{}))
	r.records++
	return nil
}

// checkKeys refuses a change of objects that cannot be.
func (c *change) checkKeys() error {
	if c.code.onColl() {
		return nil
	}
	if _, err := layout.DecodeObjectKey([]byte(c.key)); err != nil {
		return err
	}
	if c.code != opRename && !c.code.clones() {
		return nil
	}
	if c.to == "" {
		return fmt.Errorf("rename or clone without a target: %w", ErrCorrupt)
	}
	_, err := layout.DecodeObjectKey([]byte(c.to))
	return err
}

// cost adds what admission would have the changes promised.
func (r *replayer) cost(ctx context.Context, cs []change) error {
	if r.s.opt.ReadOnly {
		return nil
	}
	p := pass{changes: cs}
	p.cost()
	if slices.ContainsFunc(cs, func(c change) bool { return c.code.clones() }) {
		if err := r.s.costClones(ctx, &p, math.MaxInt64); err != nil {
			return err
		}
	}
	r.tokens.add(p.tokens)
	r.longest = max(r.longest, p.longest)
	return nil
}

// onodeOf finds an object of a change. What is changed alone need not be read: its
// changes wait for that with the stub, even those that a transaction would make wait,
// for that they can be made was decided before they were logged.
func (r *replayer) onodeOf(ctx context.Context, key string, alone bool) (*onode, error) {
	if !alone || r.s.opt.Inline || r.s.opt.ReadOnly {
		return r.s.onodeOf(ctx, []byte(key), true)
	}
	o, cold := r.s.stubOf([]byte(key))
	if cold {
		o.refs.Add(1)
		r.cold = append(r.cold, o)
	}
	return o, nil
}

// replayOn finds the objects of a change and applies it.
func (r *replayer) replayOn(ctx context.Context, c *change) error {
	s := r.s
	var objects []objectView
	for _, x := range [...]struct {
		key string
		o   **onode
	}{{c.key, &c.o}, {c.to, &c.dst}} {
		if x.key == "" {
			continue
		}
		o, err := r.onodeOf(ctx, x.key, c.to == "")
		if err != nil {
			return err
		}
		defer o.refs.Add(-1)
		o.mu.RLock()
		loadErr, doomed := o.loadErr, o.doomed != nil
		o.mu.RUnlock()
		if loadErr != nil && (c.code != opRemove || !doomed) {
			if s.opt.ReadOnly {
				return nil
			}
			if s.outage(ctx, loadErr) {
				return loadErr // another mount may be able to read it
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

// dataThere reports whether the blocks a record names hold what it says. They are
// read in long pieces: what 64 writers had in flight may be much.
func (s *Store) dataThere(ctx context.Context, cs []change) (bool, error) {
	f := s.pool.Get(runBytes)
	defer f.Release()
	for i := range cs {
		for _, p := range cs[i].place {
			for done := 0; done < len(p.crc); {
				n := min(len(p.crc)-done, runBytes>>blockShift)
				buf := f.Bytes()[:n<<blockShift]
				if err := readRetry(ctx, s.main, devices.Block(p.addr.Block()+uint64(done)), buf); err != nil {
					if errors.Is(err, devices.ErrRange) {
						return false, fmt.Errorf("%w: %w", err, ErrCorrupt)
					}
					if ctx.Err() != nil {
						return false, ctx.Err() // says nothing about the blocks
					}
					if s.outage(ctx, err) {
						return false, err // nor does a device that reads nothing
					}
					return false, nil // torn: never committed
				}
				for j, crc := range p.crc[done : done+n] {
					if layout.ColdCRC(buf[j<<blockShift:][:blockSize]) != crc && !planted.On(planted.TornBelieved) {
						return false, nil
					}
				}
				done += n
			}
		}
	}
	return true, nil
}
