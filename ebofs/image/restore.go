package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// Contents is what a stream says before its first block, and, once it was read to
// its end, what it holds.
type Contents struct {
	Header
	Devices  map[uint8]uint64 // sizes in blocks, by index
	Blocks   uint64           // with content
	Withheld uint64
}

// Verify reads an image to its end and writes nothing.
func Verify(ctx context.Context, r io.Reader) (Contents, error) {
	c := Contents{}
	err := each(ctx, r, func(h Header, sizes map[uint8]uint64, e Entry) error {
		c.Header, c.Devices = h, sizes
		switch e.Kind {
		case Blocks:
			c.Blocks += uint64(e.Blocks)
		case Withheld:
			c.Withheld += uint64(e.Blocks)
		}
		return nil
	})
	return c, err
}

func each(ctx context.Context, r io.Reader, fn func(h Header, sizes map[uint8]uint64, e Entry) error) error {
	z, err := NewReader(r)
	if err != nil {
		return err
	}
	defer z.Close()
	for {
		e, err := z.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = fn(z.Header, z.sizes, e)
		}
		if err != nil {
			return err
		}
	}
}

// Target is where a device of an image goes.
type Target struct {
	devices.Device
	Fresh bool // all of it reads as zeros: they need not be written
}

// withheldText is what a withheld block begins with in a restored store.
const withheldText = "what was here is not in the image of this store; "

// Restore makes the store of the image r on the devices given; one whose index is not
// among them is left out. The store begins to exist with the last block written:
// verify the image first, and wipe the places of labels and superblocks.
func Restore(ctx context.Context, r io.Reader, to map[uint8]Target) error {
	pool := devices.NewPool(devices.PoolOptions{})
	err := each(ctx, r, func(_ Header, _ map[uint8]uint64, e Entry) error {
		t, ok := to[e.Device]
		if !ok || e.Kind == End {
			return nil
		}
		if have := t.Geometry().Blocks; e.Kind == Device {
			if have < e.Block {
				return fmt.Errorf("device has %d blocks, the one in the image %d: %w", have, e.Block, layout.ErrTooSmall)
			}
			return nil
		}
		if e.Kind == Zeros && t.Fresh {
			return nil
		}
		return write(ctx, pool, t, e)
	})
	for _, t := range to {
		if err == nil {
			err = t.Flush(ctx)
		}
	}
	return errors.Join(err, pool.Close())
}

// write writes the blocks of an entry.
func write(ctx context.Context, pool *devices.Pool, t Target, e Entry) error {
	f := pool.Get(int(min(e.Blocks, MaxEntryBlocks)) * layout.BlockSize)
	defer f.Release()
	p := f.Bytes()
	clear(p)
	switch e.Kind {
	case Blocks:
		copy(p, e.Data)
	case Withheld:
		for at := 0; at < len(p); at += layout.BlockSize {
			fill := bytes.Repeat([]byte(withheldText), layout.BlockSize/len(withheldText)+1)
			copy(p[at:at+layout.BlockSize], fill)
		}
	}
	for b, left := e.Block, e.Blocks; left > 0; {
		n := min(left, MaxEntryBlocks)
		if err := t.Write(ctx, devices.Block(b), devices.Vec{p[:n*layout.BlockSize]}); err != nil {
			return err
		}
		b, left = b+uint64(n), left-n
	}
	return nil
}
