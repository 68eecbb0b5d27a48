package repair

import (
	"bytes"
	"cmp"
	"context"
	"slices"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// nodeMagic begins every node of a tree.
const nodeMagic = "EBTN"

// scanBlocks reads blocks [from, to) and calls page for every sound node that stands
// where it says it does, and other, if it is not nil, for every block that may begin
// another structure.
func (r *repairer) scanBlocks(ctx context.Context, from, to uint64, page func(*btree.Page), other func(b uint64, p []byte)) error {
	const step = 256
	var buf []byte
	for at := from; at < to; {
		n := int(min(step, to-at))
		var err error
		if buf, err = r.d.read(ctx, at, n); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			buf = r.readEach(ctx, at, n)
		}
		next := at + uint64(n)
		for i := 0; i < n; i++ {
			p := buf[i*layout.BlockSize:]
			if string(p[:4]) != nodeMagic {
				if other != nil && string(p[:2]) == "EB" {
					other(at+uint64(i), p)
				}
				continue
			}
			k := int(p[11])
			if k == 0 || k*layout.BlockSize > btree.MaxPageBytes {
				continue
			}
			if i+k > n {
				if i > 0 && at+uint64(n) < to { // once more from here
					next = at + uint64(i)
					break
				}
				continue
			}
			x, err := btree.ParsePage(bytes.Clone(p[:k*layout.BlockSize]))
			if err == nil && x.Ptr().Addr == uint64(layout.MakeAddr(0, at+uint64(i))) && agrees(x) {
				page(x)
				i += k - 1
			}
		}
		at = next
		r.progress("scan", at-from, to-from)
	}
	return ctx.Err()
}

// agrees reports whether keys and fences of a node agree with each other: nobody
// else says where it belongs.
func agrees(p *btree.Page) bool {
	r := topOf(p)
	low, high := p.Fences()
	if len(high) == 0 {
		high = nil
	}
	return p.CheckIn(r.Ptr, r.Count, r.Bytes, low, high) == nil
}

// readEach reads block by block; what cannot be read is zeros.
func (r *repairer) readEach(ctx context.Context, at uint64, n int) []byte {
	buf := make([]byte, n*layout.BlockSize)
	for i := range n {
		if p, err := r.d.read(ctx, at+uint64(i), 1); err == nil {
			copy(buf[i*layout.BlockSize:], p)
		}
	}
	return buf
}

// treeID names a tree.
type treeID struct {
	kind  layout.TreeKind
	owner uint64
}

// findLeaves scans for the leaves of trees, if there is anything to look for.
func (r *repairer) findLeaves(ctx context.Context, want map[treeID]bool) (map[treeID][]leaf, error) {
	if len(want) == 0 {
		return nil, nil
	}
	found := make(map[treeID][]leaf)
	err := r.scanBlocks(ctx, r.place.ZoneStart, r.place.ZoneEnd, func(p *btree.Page) {
		fsid, kind, own := p.Identity()
		id := treeID{layout.TreeKind(kind), own.ID}
		if fsid == r.fsidLow() && p.Level() == 0 && want[id] {
			found[id] = append(found[id], leaf{Leaf: btree.LeafOf(p)})
		}
	}, nil)
	return found, err
}

// within returns those of the found leaves that fill a hole: inside its range, not
// newer than the node that is lost, the newest one for each range, in order. If
// they do not add up to what the lost node had, some may be old versions: then all
// are in doubt.
//
// The newest is the right one: a leaf that was replaced over part of its range was
// replaced by a newer one that covers that part.
func (h *hole) within(found []leaf) []leaf {
	return newest(found, h.low, h.high, h.ptr.Epoch, func(chosen []leaf) bool {
		var count, size uint64
		for i := range chosen {
			count, size = count+chosen[i].Count, size+chosen[i].Bytes
		}
		return !h.doubt && count == h.count && size == h.bytes
	})
}

// newest picks the newest leaf for each range in [low, high) up to an epoch.
func newest(found []leaf, low, high []byte, epoch uint64, sure func([]leaf) bool) []leaf {
	sorted := slices.Clone(found)
	slices.SortStableFunc(sorted, func(a, b leaf) int { return -cmp.Compare(a.Ptr.Epoch, b.Ptr.Epoch) })
	var chosen []leaf // ascending
	for _, l := range sorted {
		if l.Ptr.Epoch > epoch || bytes.Compare(l.Low, low) < 0 || high != nil && (len(l.High) == 0 || bytes.Compare(l.High, high) > 0) {
			continue
		}
		i, _ := slices.BinarySearchFunc(chosen, l, compareLow)
		if i > 0 && overlap(&chosen[i-1], &l) || i < len(chosen) && overlap(&l, &chosen[i]) {
			continue
		}
		chosen = slices.Insert(chosen, i, l)
	}
	doubt := !sure(chosen)
	for i := range chosen {
		chosen[i].doubt = chosen[i].doubt || doubt
	}
	return chosen
}

func compareLow(a, b leaf) int { return bytes.Compare(a.Low, b.Low) }

// overlap reports whether a, which begins no later than b, reaches into b.
func overlap(a, b *leaf) bool {
	return len(a.High) == 0 || bytes.Compare(a.High, b.Low) > 0
}
