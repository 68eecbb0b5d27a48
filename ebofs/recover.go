package ebofs

import (
	"context"
	"fmt"
	"time"

	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// recover brings back what the log holds beyond the newest checkpoint, by
// applying its changes as the transactions themselves did, and makes the store
// ready for new ones: what was replayed is as if it had just been done, and waits
// for a checkpoint behind which the log goes on. roots are those of the newest
// checkpoint.
func (s *Store) recover(ctx context.Context, roots *Roots) error {
	if s.logAt == nil {
		return nil // see findLog
	}
	ring := &s.super.Rings[0]
	cut, tail := s.txid, wal.Pos{Block: ring.TailBlock, Seq: ring.TailSeq}
	r := replayer{s: s}
	begin := time.Now()
	res, err := wal.Scan(ctx, s.logAt, s.logConfig(ring.Incarnation), tail, func(rec wal.Record) error {
		if rec.Txid <= cut {
			return nil
		}
		return r.replay(ctx, rec)
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
	s.metrics.ReplayRecords.Store(int64(r.records))
	s.metrics.ReplayBytes.Store(int64(res.Bytes))
	s.metrics.ReplayNanos.Store(int64(time.Since(begin)))
	s.log.Info("log replayed", "records", r.records, "bytes", res.Bytes, "took", time.Since(begin), "end", res.Reason)
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
	// Records that fill the log to the last must go before one can follow.
	filled := (res.End.Block + ring.Blocks - tail.Block) % ring.Blocks * blockSize
	s.incarnation = ring.Incarnation
	if r.records > 0 && res.Resumable() && !s.opt.ReplayImage && s.kept.yield == 0 && int64(filled) < s.ringSize-s.ringSize/16 &&
		s.space.promise(r.tokens, r.longest, false, s.metaBlocks.Load()) {
		s.dirty.account(s.epoch, burden{tokens: r.tokens})
		if err := s.goOn(ctx, tail, &res); err != nil {
			return err
		}
		if err := s.inUse(ctx, tail); err != nil {
			return err
		}
		s.warm(r.cold)
		return nil
	}
	s.warm(r.cold)
	s.incarnation++
	s.wal = wal.New(s.logAt, s.logConfig(s.incarnation), res.End, 0)
	if r.records > 0 || s.kept.yield > 0 {
		// The records lie in the old incarnation, which nobody reads once this
		// checkpoint is durable.
		return s.checkpoint(ctx, false)
	}
	return s.inUse(ctx, res.End)
}

// inUse writes a superblock that says so, with the log from tail on. Both its slots
// are sound then, whatever the last writer left of them.
func (s *Store) inUse(ctx context.Context, tail wal.Pos) error {
	sb := s.super
	sb.Generation++
	sb.Flags &^= layout.SuperClean
	sb.Rings = append([]layout.Ring(nil), sb.Rings...)
	r := &sb.Rings[0]
	r.Incarnation, r.TailBlock, r.TailSeq, r.PrevCRC = s.incarnation, tail.Block, tail.Seq, 0
	if err := s.writeSuper(ctx, &sb); err != nil {
		return err
	}
	s.super = sb
	return nil
}

// goOn makes new records follow those that were replayed. The first is the mount's
// own and changes nothing: it says that all before it belong to the open epoch,
// whichever was open when they were made (ReadLog).
func (s *Store) goOn(ctx context.Context, tail wal.Pos, found *wal.ScanResult) (err error) {
	if s.logAt != s.main { // data that was found to be there may not be durable yet
		if err := s.main.Flush(ctx); err != nil {
			return fmt.Errorf("flush: %w", err)
		}
	}
	if s.wal, err = wal.Resume(ctx, s.logAt, s.logConfig(s.incarnation), tail, found); err != nil {
		return err
	}
	s.txid++
	var enc recordEncoder
	if s.lastLSN, err = s.wal.Append(s.txid, 0, enc.encode(s.epoch, nil)...); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return s.wal.Wait(ctx, s.lastLSN)
}
