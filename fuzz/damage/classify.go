package damage

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// run is a run of blocks of one class, and the bytes of it that are of interest.
type run struct {
	start, blocks uint64
	from, to      int // bytes; to is 0: all
	sum           sum
}

// sum is where a run keeps the checksum of itself, for forging.
type sum struct{ at, from int } // at 0: it has none; from: first byte summed

// bytes returns the range of interest.
func (r run) bytes() (from, to int) {
	if r.to > 0 {
		return r.from, r.to
	}
	return 0, int(r.blocks) * devices.BlockSize
}

// seal makes the checksum of a forged run right.
func (r run) seal(p []byte) {
	if r.sum.at == 0 {
		return
	}
	binary.LittleEndian.PutUint32(p[r.sum.at:], 0)
	binary.LittleEndian.PutUint32(p[r.sum.at:], layout.CRC(p[r.sum.from:]))
}

var (
	sumOfSlot = sum{8, 12} // label and superblock
	sumOfMeta = sum{4, 0}  // tree nodes and everything with a layout.Header
	sumOfLog  = sum{4, 8}
)

// reader gives trees their pages.
type reader struct{ dev devices.Device }

// ReadPage implements btree.PageReader.
func (r reader) ReadPage(ctx context.Context, addr uint64, blocks int, dst []byte) error {
	return r.dev.Read(ctx, devices.Block(layout.Addr(addr).Block()), devices.Vec{dst[:blocks*devices.BlockSize]})
}

// classifier collects the rows of one image.
type classifier struct {
	ctx  context.Context
	mem  *devices.Mem
	pool *devices.Pool
	ld   *btree.Cache
	sb   layout.Superblock
	rows map[string][]run
	seen map[layout.Addr]bool // shared blocks that have a row
}

// classify finds the blocks of every class.
func classify(ctx context.Context, mem *devices.Mem, log bool) (map[string][]run, error) {
	c := &classifier{ctx: ctx, mem: mem, pool: devices.NewPool(devices.PoolOptions{}), rows: map[string][]run{}, seen: map[layout.Addr]bool{}}
	defer c.pool.Close()
	c.ld = btree.NewCache(reader{mem}, c.pool, 4<<20)
	defer c.ld.Clear()
	f, err := ebofs.Find(ctx, open{mem})
	if err != nil {
		return nil, err
	}
	c.sb = f.Super
	for i, l := range f.Labels {
		c.add([]string{"label, first", "label, other copies"}[min(i, 1)], run{start: l.Block, blocks: 1, sum: sumOfSlot})
	}
	for _, s := range f.Slots {
		sb, err := layout.DecodeSuperblock(s.Data)
		name := "superblock, older"
		if err == nil && sb.Generation == f.Super.Generation {
			name = "superblock, newest"
		}
		c.add(name, run{start: s.Addr.Block(), blocks: 1, sum: sumOfSlot})
	}
	roots, err := ebofs.ReadRoots(ctx, open{mem}, &c.sb)
	if err != nil {
		return nil, err
	}
	c.ref("root record", c.sb.Root)
	for _, r := range roots.Record.ZoneTables {
		c.ref("zone table", r)
	}
	for _, zone := range roots.Zones {
		if !zone.Bitmap.IsNone() {
			c.ref("zone bitmap", zone.Bitmap)
		}
	}
	if err := c.tree(layout.TreeCollections, btree.Owner{}, roots.Record.Collections); err != nil {
		return nil, err
	}
	if err := c.tree(layout.TreeObjects, btree.Owner{}, roots.Record.Objects); err != nil {
		return nil, err
	}
	if err := c.tree(layout.TreeRefs, btree.Owner{}, roots.Record.Refs); err != nil {
		return nil, err
	}
	if log {
		return c.rows, c.log()
	}
	return c.rows, nil
}

func (c *classifier) add(class string, r run) { c.rows[class] = append(c.rows[class], r) }

func (c *classifier) ref(class string, r layout.Ref) {
	c.add(class, run{start: r.Addr.Block(), blocks: uint64(r.Blocks), sum: sumOfMeta})
}

// read returns a copy of blocks.
func (c *classifier) read(start, blocks uint64) ([]byte, error) {
	return readRun(c.ctx, c.pool, c.mem, start, blocks)
}

func readRun(ctx context.Context, pool *devices.Pool, dev devices.Device, start, blocks uint64) ([]byte, error) {
	f := pool.Get(int(blocks) * devices.BlockSize)
	defer f.Release()
	p := f.Bytes()[:blocks*devices.BlockSize]
	err := dev.Read(ctx, devices.Block(start), devices.Vec{p})
	return bytes.Clone(p), err
}

// tree adds the nodes and values of a tree, and for objects what hangs on them.
func (c *classifier) tree(kind layout.TreeKind, own btree.Owner, root btree.Root) error {
	cfg := ebofs.TreeConfig(kind, c.sb.FSID)
	var leaf run
	var page []byte
	return btree.Walk(c.ctx, c.ld, cfg, &own, root, btree.Visitor{
		Node: func(n *btree.Node) (err error) {
			if n.Page == nil {
				return nil
			}
			class := fmt.Sprintf("%v, leaf", kind)
			if n.Ptr.Level > 0 {
				class = fmt.Sprintf("%v, inner node", kind)
			}
			r := run{start: layout.Addr(n.Ptr.Addr).Block(), blocks: uint64(n.Ptr.Blocks), sum: sumOfMeta}
			c.add(class, r)
			if n.Ptr.Level == 0 {
				leaf = r
				page, err = c.read(r.start, r.blocks)
			}
			return err
		},
		Item: func(key, val []byte, ext []btree.BlobExtent) error {
			for _, e := range ext {
				blocks := (uint64(e.Bytes) + devices.BlockSize - 1) / devices.BlockSize
				c.add(fmt.Sprintf("%v, long value", kind), run{start: layout.Addr(e.Addr).Block(), blocks: blocks, from: 0, to: int(e.Bytes)})
			}
			switch kind {
			case layout.TreeObjects:
				return c.onode(key, val, leaf, page)
			case layout.TreeExtents:
				return c.chunk(val)
			}
			return nil
		},
	})
}

// onode adds an onode, its inline data, and the trees of its object.
func (c *classifier) onode(key, val []byte, leaf run, page []byte) error {
	on, err := layout.DecodeOnode(bytes.Clone(val))
	if err != nil {
		return err
	}
	at := bytes.Index(page, val)
	if at < 0 {
		return fmt.Errorf("onode %x is not in its leaf", key)
	}
	part := leaf
	part.from, part.to = at, at+len(val)
	if len(on.Inline) == 0 {
		c.add("onode", part)
	} else if at := bytes.Index(page, on.Inline); at >= 0 {
		part.from, part.to = at, at+len(on.Inline)
		c.add("inline data", part)
	}
	own := btree.Owner{ID: on.ID}
	copy(own.Key[:], key)
	for kind, root := range map[layout.TreeKind]btree.Root{layout.TreeAttrs: on.Attrs, layout.TreeOmap: on.Omap, layout.TreeExtents: on.Extents} {
		if err := c.tree(kind, own, root); err != nil {
			return err
		}
	}
	return nil
}

func (c *classifier) chunk(val []byte) error {
	var ch layout.Chunk
	if err := layout.DecodeChunk(val, &ch); err != nil {
		return err
	}
	for i, a := range ch.Addr {
		r := run{start: a.Block(), blocks: 1}
		switch {
		case a == 0:
		case ch.Flags[i]&layout.BlockShared == 0:
			c.add("data", r)
		case !c.seen[a]:
			c.seen[a] = true
			c.add("data, shared", r)
		}
	}
	return nil
}

// log adds the batches of the log: the last is the tail, the others are known to
// be committed by those behind them.
func (c *classifier) log() error {
	ring := c.sb.Rings[0]
	var batches []run
	for b := ring.TailBlock; ; {
		p, err := c.read(ring.Start.Block()+b, 1)
		if err != nil {
			return err
		}
		used := uint64(binary.LittleEndian.Uint32(p[12:]))
		if string(p[:4]) != "EWAL" || binary.LittleEndian.Uint64(p[24:]) != ring.Incarnation {
			break
		}
		n := (used + devices.BlockSize - 1) / devices.BlockSize
		batches = append(batches, run{start: ring.Start.Block() + b, blocks: n, to: int(used), sum: sumOfLog})
		b += n
	}
	if len(batches) < 3 {
		return fmt.Errorf("only %d batches in the log", len(batches))
	}
	for i, r := range batches {
		head := r
		head.to = 64
		r.from = 64
		if i == len(batches)-1 {
			c.add("log, tail", run{start: r.start, blocks: r.blocks, to: r.to, sum: sumOfLog})
			continue
		}
		c.add("log, header of a batch", head)
		c.add("log, records", r)
	}
	return nil
}
