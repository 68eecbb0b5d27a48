package blockmap

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/picture"
	"ebofs/tools/store"
)

// segment is a run of blocks of device 0 that is one kind whatever the bitmaps
// say.
type segment struct {
	start, n uint64
	kind     picture.Kind
}

// Draw maps the checkpoint of sb, once for each of cells in at most so many of
// them. broken counts nodes that could not be read. Of a store in use sb is that of
// a pin or of a kept epoch.
func Draw(ctx context.Context, dev devices.Device, sb *layout.Superblock, cells ...int) (maps []*picture.Map, broken int, err error) {
	return draw(ctx, dev, sb, nil, cells...)
}

// draw is Draw with damage that is known already.
func draw(ctx context.Context, dev devices.Device, sb *layout.Superblock, damage []segment, cells ...int) (maps []*picture.Map, broken int, err error) {
	roots, err := ebofs.ReadRoots(ctx, dev, sb)
	if err != nil {
		return nil, 0, err
	}
	place := sb.Placement()
	for _, n := range cells {
		maps = append(maps, picture.New(sb.Blocks, n, uint64(place.StripeBlocks), place.AlignBlocks))
	}
	l := &loader{b: store.NewBytes(ctx, dev), limit: sb.Blocks}
	defer l.b.Close()
	w := &walker{ctx: ctx, l: l, fsid: sb.FSID}
	if err := w.all(&roots.Record); err != nil {
		return nil, 0, err
	}
	p := painter{maps: maps, over: w.nodes}
	for _, d := range append(damage, w.damaged...) {
		p.damage = append(p.damage, segment{d.start, d.n, picture.Damaged})
	}
	for _, e := range roots.Own {
		p.over = append(p.over, segment{e.Addr.Block(), e.Blocks, picture.Node})
	}
	var outside []segment
	fixed := append([]segment{{0, place.HeadEnd, picture.Label}, {place.TailStart, sb.Blocks - place.TailStart, picture.Label}, {place.RingStart, place.RingBlocks, picture.Log}}, labels(&place)...)
	for _, s := range fixed {
		if _, in := place.ZoneOf(s.start); in {
			p.over = append(p.over, s)
		} else {
			outside = append(outside, s)
		}
	}
	order := func(a, b segment) int { return cmp.Compare(a.start, b.start) }
	slices.SortFunc(p.over, order)
	slices.SortFunc(p.damage, order)
	for _, s := range outside {
		p.paint(s.start, s.n, s.kind)
	}
	for z := range place.Zones {
		var words []uint64
		if roots.Zones != nil && !roots.Zones[z].Bitmap.IsNone() {
			if words, err = l.bitmap(sb.FSID, roots.Zones[z].Bitmap); err != nil {
				return nil, 0, fmt.Errorf("bitmap of zone %d: %w", z, err)
			}
		}
		start, n := place.Zone(z)
		p.zone(start, uint64(n), words)
	}
	for _, m := range maps {
		m.Done()
	}
	return maps, len(w.damaged), nil
}

// labels are the copies beyond the head area.
func labels(place *layout.Placement) (list []segment) {
	for _, b := range place.Labels {
		if b >= place.HeadEnd {
			list = append(list, segment{b, 1, picture.Label})
		}
	}
	return list
}

// painter adds runs to the maps in ascending order, cut where something else
// is known: over by trees and placement, damage above all. Both are sorted.
type painter struct {
	maps         []*picture.Map
	over, damage []segment
}

// zone paints one zone by its bitmap; no words: nothing is used.
func (p *painter) zone(start, n uint64, words []uint64) {
	for at := uint64(0); at < n; {
		used := bit(words, at)
		end := at + 1
		for end < n && bit(words, end) == used {
			// Whole words at once where they are all one.
			if end%64 == 0 && end+64 <= n && word(words, end/64) == full(used) {
				end += 64
				continue
			}
			end++
		}
		kind := picture.Free
		if used {
			kind = picture.Data
		}
		cut(p.over, start+at, end-at, kind, p.paint)
		at = end
	}
}

// paint adds one run, cut at what is damaged.
func (p *painter) paint(start, n uint64, kind picture.Kind) {
	for _, m := range p.maps {
		cut(p.damage, start, n, kind, m.Add)
	}
}

// cut calls add for the pieces of [start, start+n) in order: those covered by a
// segment with its kind, the others with kind.
func cut(over []segment, start, n uint64, kind picture.Kind, add func(uint64, uint64, picture.Kind)) {
	end := start + n
	i, _ := slices.BinarySearchFunc(over, start, func(s segment, at uint64) int { return cmp.Compare(s.start+s.n, at+1) })
	for ; start < end; i++ {
		if i >= len(over) || over[i].start >= end {
			add(start, end-start, kind)
			return
		}
		s := over[i]
		if s.start > start {
			add(start, s.start-start, kind)
			start = s.start
		}
		if to := min(end, s.start+s.n); to > start {
			add(start, to-start, s.kind)
			start = to
		}
	}
}

func word(words []uint64, i uint64) uint64 {
	if i < uint64(len(words)) {
		return words[i]
	}
	return 0
}

func bit(words []uint64, i uint64) bool { return word(words, i/64)>>(i%64)&1 != 0 }

func full(used bool) uint64 {
	if used {
		return ^uint64(0)
	}
	return 0
}

// walker collects the nodes of all trees.
type walker struct {
	ctx     context.Context
	l       *loader
	fsid    layout.UUID
	nodes   []segment
	damaged []segment
	onode   layout.Onode
}

func (w *walker) all(r *layout.RootRecord) error {
	for _, k := range []layout.TreeKind{layout.TreeCollections, layout.TreeTrash, layout.TreeRefs} {
		if err := w.tree(k, btree.Owner{}, *r.Root(k), nil); err != nil {
			return err
		}
	}
	return w.tree(layout.TreeObjects, btree.Owner{}, r.Objects, func(_, val []byte, ext []btree.BlobExtent) error {
		if ext != nil {
			val = w.l.long(w.ctx, ext)
		}
		if w.onode.Decode(val) != nil {
			return nil // fsck's business
		}
		o := w.onode
		for _, t := range []struct {
			kind layout.TreeKind
			root btree.Root
		}{{layout.TreeAttrs, o.Attrs}, {layout.TreeOmap, o.Omap}, {layout.TreeExtents, o.Extents}} {
			if err := w.tree(t.kind, btree.Owner{ID: o.ID}, t.root, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

// tree visits one tree; items only if somebody wants them, so that leaves whose
// items do not matter still count as nodes.
func (w *walker) tree(kind layout.TreeKind, own btree.Owner, root btree.Root, item func(key, val []byte, ext []btree.BlobExtent) error) error {
	if root.Kind == btree.RootEmpty || root.Kind == btree.RootInline && item == nil {
		return nil
	}
	return btree.Walk(w.ctx, w.l, ebofs.TreeConfig(kind, w.fsid), &own, root, btree.Visitor{
		Node: func(n *btree.Node) error {
			if n.Ptr.Addr != 0 {
				w.nodes = append(w.nodes, segment{layout.Addr(n.Ptr.Addr).Block(), uint64(n.Ptr.Blocks), picture.Node})
			}
			return nil
		},
		Item: item,
		Damage: func(n *btree.Node, _ error) error {
			if err := w.ctx.Err(); err != nil {
				return err
			}
			w.damaged = append(w.damaged, segment{layout.Addr(n.Ptr.Addr).Block(), uint64(n.Ptr.Blocks), picture.Damaged})
			return nil
		},
	})
}

// loader reads nodes from the device, each when it is asked for.
type loader struct {
	b     *store.Bytes
	limit uint64 // blocks
}

var _ btree.Loader = (*loader)(nil)

func (l *loader) read(a layout.Addr, blocks uint64) ([]byte, error) {
	if a.Device() != 0 || blocks == 0 || a.Block() >= l.limit || blocks > l.limit-a.Block() {
		return nil, fmt.Errorf("blocks %v~%d: %w", a, blocks, ebofs.ErrCorrupt)
	}
	p := make([]byte, blocks*layout.BlockSize)
	if _, err := l.b.ReadAt(p, int64(a.Block()*layout.BlockSize)); err != nil && err != io.EOF {
		return nil, err
	}
	return p, nil
}

// Load reads and verifies one node.
func (l *loader) Load(_ context.Context, cfg *btree.Config, own *btree.Owner, p btree.Ptr) (*btree.Page, error) {
	buf, err := l.read(layout.Addr(p.Addr), uint64(p.Blocks))
	if err != nil {
		return nil, err
	}
	page, err := btree.ParsePage(buf)
	if err == nil {
		err = page.Check(cfg, own, p)
	}
	return page, err
}

// Resident returns nil: nothing is kept.
func (l *loader) Resident(btree.Ptr) *btree.Page { return nil }

// ReadBlob reads an overflow value. Its checksums are fsck's business.
func (l *loader) ReadBlob(_ context.Context, ext []btree.BlobExtent, dst []byte) error {
	for _, e := range ext {
		p, err := l.read(layout.Addr(e.Addr), (uint64(e.Bytes)+layout.BlockSize-1)/layout.BlockSize)
		if err != nil {
			return err
		}
		n := copy(dst, p[:e.Bytes])
		dst = dst[n:]
	}
	return nil
}

// long returns an overflow value, nil if it cannot be had.
func (l *loader) long(ctx context.Context, ext []btree.BlobExtent) []byte {
	size := 0
	for _, e := range ext {
		size += int(e.Bytes)
	}
	p := make([]byte, size)
	if l.ReadBlob(ctx, ext, p) != nil {
		return nil
	}
	return p
}

// bitmap reads one zone bitmap's words.
func (l *loader) bitmap(fsid layout.UUID, ref layout.Ref) ([]uint64, error) {
	p, err := l.read(ref.Addr, uint64(ref.Blocks))
	if err != nil {
		return nil, err
	}
	b, err := layout.DecodeZoneBitmap(p, fsid, ref)
	if err != nil {
		return nil, err
	}
	return b.Bits, nil
}
