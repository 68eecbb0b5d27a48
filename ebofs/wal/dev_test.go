package wal

import (
	"context"
	"testing"

	"ebofs/devices"
)

// hookFunc looks at every I/O of a test's device before it happens.
type hookFunc = func(ctx context.Context, op devices.Op, b devices.Block, n uint64) error

// newMem returns a device of zeros; overlapping writes in flight fail the test.
func newMem(t testing.TB, blocks uint64, hook hookFunc) *devices.Mem {
	return devices.NewMem(devices.MemOptions{Blocks: blocks, Hook: hook, Overlap: func(what string) { t.Error(what) }})
}

// peek returns a copy of n blocks.
func peek(t testing.TB, dev devices.Device, b, n uint64) []byte {
	t.Helper()
	p := alignedBytes(int(n) * devices.BlockSize)
	if err := dev.Read(ctx, devices.Block(b), devices.Vec{p}); err != nil {
		t.Fatal(err)
	}
	return p
}

// poke writes whole blocks.
func poke(t testing.TB, dev devices.Device, b uint64, p []byte) {
	t.Helper()
	q := alignedBytes(len(p))
	copy(q, p)
	if err := dev.Write(ctx, devices.Block(b), devices.Vec{q}); err != nil {
		t.Fatal(err)
	}
}

// flip inverts one byte of a block.
func flip(t testing.TB, dev devices.Device, b, off uint64) {
	t.Helper()
	p := peek(t, dev, b, 1)
	p[off] ^= 0xff
	poke(t, dev, b, p)
}
