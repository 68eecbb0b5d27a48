package check

import (
	"context"
	"errors"
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs/wal"
)

// checkLog scans the ring and counts what the next mount will replay.
func (c *checker) checkLog(ctx context.Context, ph *Phase) error {
	if c.log == nil || len(c.sb.Rings) == 0 {
		ph.Note = notChecked
		return nil
	}
	ring := c.sb.Rings[0]
	cfg := wal.Config{Start: ring.Start.Block(), Blocks: ring.Blocks, FSID: c.sb.FSID, Incarnation: ring.Incarnation}
	problem := func(block uint64, expected, found string) {
		c.out.add(Problem{Code: LogDamage, Where: "log", Device: ring.Start.Device(), Address: block, Expected: expected, Found: found})
	}
	if c.o.Online != nil {
		return c.checkLiveLog(ctx, ph)
	}
	res, err := wal.Scan(ctx, c.log.dev, cfg, wal.Pos{Block: ring.TailBlock, Seq: ring.TailSeq}, func(r wal.Record) error {
		c.rep.Counts.LogRecords++
		return nil
	})
	c.log.bytes.Add(res.Bytes)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, wal.ErrUnsupported):
		return fmt.Errorf("log: %w", err)
	case err != nil:
		c.incomplete()
		problem(ring.Start.Block(), "a readable log", err.Error())
	case res.Damage != nil:
		problem(uint64(res.Damage.Block), res.Damage.Want, fmt.Sprintf("%s %d: %s", res.Damage.Kind, res.Damage.Seq, res.Damage.Got))
	}
	switch n := c.rep.Counts.LogRecords; {
	case n == 0:
		ph.Note = "nothing to replay"
	default:
		ph.Note = fmt.Sprintf("%d records to replay", n)
		return c.replay(ctx, ph)
	}
	return nil
}

// replay turns to the store as the next mount will make it.
func (c *checker) replay(ctx context.Context, ph *Phase) error {
	if c.o.Replay == nil || c.o.Level == Quick {
		return nil
	}
	dev, err := c.o.Replay(ctx)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		r := &reader{dev: dev, blocks: c.main.blocks, pool: c.pool}
		var f found
		if f, err = find(ctx, r); err == nil {
			c.main.dev = dev
			c.sb = *f.sb
		}
	}
	if err != nil {
		ph.Note += fmt.Sprintf(", not looked into: %v", err)
		if !errors.Is(err, devices.ErrOverlayFull) {
			c.incomplete()
		}
		return nil
	}
	c.rep.Counts.LogReplayed = c.rep.Counts.LogRecords
	ph.Note += ", looked into"
	return nil
}
