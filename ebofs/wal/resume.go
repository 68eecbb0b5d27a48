package wal

import (
	"context"
	"fmt"

	"ebofs/devices"
)

// Resume returns the log that goes on where Scan, which began at tail, found the end
// of the log of cfg, if that is Resumable: in the same incarnation, with what was
// found still in it until SetTail says otherwise.
//
// Behind the end lies what the writer had in flight when it stopped. Numbers are
// used again from there on, so Resume destroys it. That, and what was found, is
// durable before it returns; a crash on the way leaves a log that Scan ends at the
// same place, or behind a batch that was torn and is whole after all: of what was in
// flight, any part may be kept.
func Resume(ctx context.Context, dev devices.Device, cfg Config, tail Pos, found *ScanResult) (*Log, error) {
	for _, p := range [...]Pos{tail, found.End} {
		if err := cfg.check(dev, p); err != nil {
			return nil, err
		}
	}
	if !found.Resumable() {
		return nil, fmt.Errorf("resume a log that ends within its contents (%s): %w", found.Reason, ErrInvalid)
	}
	used := (found.End.Block + cfg.Blocks - tail.Block) % cfg.Blocks
	// A group in flight and the end of the ring it skips: see witnessBytes.
	left := min(witnessBytes/devices.BlockSize, cfg.Blocks-used)
	zero, cleared := alignedBytes(MaxBatch), left*devices.BlockSize
	for at := found.End.Block; left > 0; {
		n := min(left, MaxBatch/devices.BlockSize, cfg.Blocks-at)
		if err := dev.Write(ctx, devices.Block(cfg.Start+at), devices.Vec{zero[:n*devices.BlockSize]}); err != nil {
			return nil, fmt.Errorf("clear the log behind %v: %w", found.End, err)
		}
		at, left = (at+n)%cfg.Blocks, left-n
	}
	if err := dev.Flush(ctx); err != nil {
		return nil, fmt.Errorf("flush the log: %w", err)
	}
	l := New(dev, cfg, found.End, found.PrevCRC)
	l.SetTail(tail)
	l.mu.Lock()
	l.mu.metrics.Bytes += cleared
	l.mu.metrics.PaddingBytes += cleared
	l.mu.Unlock()
	return l, nil
}
