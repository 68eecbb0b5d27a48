package repair

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// Salvage is for a store whose superblocks are all lost, or whose root record is.
// Every structure says of itself whose it is, where it stands and when it was
// written, so the whole device is searched:
//
//	root records   the newest one, if the log goes on where it ends, is the
//	               checkpoint the store would have been mounted from
//	tree roots     else the newest node of each tree that holds all keys
//	leaves         else the newest leaf for each range of keys. There are no totals
//	               to prove with that none is missing, so Result.Doubtful says so
//
// All checksums of data are verified, unless a root record was found.
// What follows is an ordinary rebuild.

// salvageable reports whether an error of ebofs.Find leaves salvage to be tried.
func salvageable(err error) bool {
	return errors.Is(err, layout.ErrNoSuperblock) || errors.Is(err, ebofs.ErrNoStore)
}

// traces are what a search of the device found of one store.
type traces struct {
	fsid   layout.UUID
	votes  uint64
	roots  []rootTrace
	leaves map[layout.TreeKind][]leaf
	tops   map[layout.TreeKind][]btree.Root // nodes that hold all keys there may be
	epochs map[layout.TreeKind]map[uint64]bool
	epoch  uint64 // highest of any node
	closed uint64 // highest of any structure that a checkpoint writes last
	lowest uint64 // first block of any node
}

// rootTrace is a sound root record.
type rootTrace struct {
	ref layout.Ref
	rec *layout.RootRecord
}

// salvage repairs a store without superblock (sb is nil) or root record.
func (r *repairer) salvage(sb *layout.Superblock, found *ebofs.Found) error {
	blocks := r.d.dev.Geometry().Blocks
	if sb == nil {
		if have, err := r.d.read(r.ctx, 0, 1); err == nil {
			if err := r.mayTakeStart(have); err != nil {
				if _, lerr := layout.DecodeLabel(have); lerr != nil {
					return fmt.Errorf("there is no superblock, and %w", err)
				}
			}
		}
	} else {
		blocks = sb.Blocks
	}
	all, err := r.search(1, blocks)
	if err != nil {
		return err
	}
	t, err := r.choose(all, sb, found)
	if err != nil {
		return err
	}
	if sb == nil {
		if err := r.makeSuper(t, found); err != nil {
			return err
		}
	}
	if err := r.bind(); err != nil {
		return err
	}
	slices.SortFunc(t.roots, func(a, b rootTrace) int { return -cmp.Compare(a.ref.Epoch, b.ref.Epoch) })
	exact := false
	if sb == nil {
		if exact, err = r.fromRoot(t); err != nil {
			return err
		}
	}
	if !exact {
		if err := r.fromLeaves(t, sb != nil); err != nil {
			return err
		}
	}
	if sb == nil {
		// A label alone makes no store, and keeps the device's id should this be
		// interrupted.
		r.o.Overwrite = true
		if err := r.restoreLabels(found); err != nil {
			return err
		}
	}
	r.salvaged = true // nothing is known that would allow to do less than all
	return r.rebuild(nil)
}

// search looks at all blocks [from, to) and sorts what it finds by store.
func (r *repairer) search(from, to uint64) (map[uint64]*traces, error) {
	all := make(map[uint64]*traces)
	of := func(low uint64) *traces {
		t := all[low]
		if t == nil {
			t = &traces{leaves: make(map[layout.TreeKind][]leaf), tops: make(map[layout.TreeKind][]btree.Root), epochs: make(map[layout.TreeKind]map[uint64]bool), lowest: math.MaxUint64}
			le.PutUint64(t.fsid[:], low)
			all[low] = t
		}
		t.votes++
		return t
	}
	err := r.scanBlocks(r.ctx, from, to, func(p *btree.Page) {
		fsid, kind, own := p.Identity()
		t := of(fsid)
		t.epoch = max(t.epoch, p.Ptr().Epoch)
		t.lowest = min(t.lowest, layout.Addr(p.Ptr().Addr).Block())
		k := layout.TreeKind(kind)
		if own.ID != 0 || k != layout.TreeObjects && k != layout.TreeCollections {
			return
		}
		if t.epochs[k] == nil {
			t.epochs[k] = make(map[uint64]bool)
		}
		t.epochs[k][p.Ptr().Epoch] = true
		if low, high := p.Fences(); len(low)+len(high) == 0 {
			t.tops[k] = append(t.tops[k], topOf(p))
		}
		if p.Level() == 0 {
			t.leaves[k] = append(t.leaves[k], leaf{Leaf: btree.LeafOf(p)})
		}
	}, func(b uint64, p []byte) {
		h, n, ok := r.header(b, p)
		if !ok {
			return
		}
		t := of(le.Uint64(h.Self.FSID[:]))
		t.fsid = h.Self.FSID
		t.lowest = min(t.lowest, b)
		t.closed = max(t.closed, h.Self.Epoch)
		if h.Kind != layout.KindRootRecord {
			return
		}
		ref := layout.Ref{Addr: h.Self.Addr, Epoch: h.Self.Epoch, CRC: h.CRC, Blocks: n}
		buf, err := r.d.read(r.ctx, b, int(n))
		if err != nil {
			return
		}
		if rec, err := layout.DecodeRootRecord(buf, h.Self.FSID, ref); err == nil {
			t.roots = append(t.roots, rootTrace{ref, rec})
		}
	})
	return all, err
}

// topOf describes a node as the root of its tree.
func topOf(p *btree.Page) btree.Root {
	r := btree.Root{Kind: btree.RootNode, Ptr: p.Ptr()}
	if p.Level() == 0 {
		l := btree.LeafOf(p)
		r.Count, r.Bytes = l.Count, l.Bytes
		return r
	}
	for i := range p.Len() {
		_, n, b := p.Child(i)
		r.Count, r.Bytes = r.Count+n, r.Bytes+b
	}
	return r
}

// top returns the node that was the root of a tree: the newest one that holds all
// keys, unless another node of the tree is newer, for then the root was newer too.
func (t *traces) top(k layout.TreeKind, limit uint64) (root btree.Root, ok bool) {
	for _, r := range t.tops[k] {
		if r.Ptr.Epoch <= limit && (!ok || r.Ptr.Epoch > root.Ptr.Epoch) {
			root, ok = r, true
		}
	}
	for e := range t.epochs[k] {
		if e <= limit && e > root.Ptr.Epoch {
			return root, false
		}
	}
	return root, ok
}

// maxStructure is the longest structure a search looks at: the table of 32,000 zones.
// Data of objects may look like the beginning of one, and is not to cost more.
const maxStructure = 1 << 20

// header reads a structure that carries one; ok is false if none is whole there.
func (r *repairer) header(b uint64, p []byte) (h layout.Header, n uint32, ok bool) {
	length := le.Uint32(p[12:])
	switch string(p[:4]) {
	case "EBrr", "EBzt", "EBzb":
	default:
		return h, 0, false
	}
	if length < layout.HeaderBytes || length > maxStructure {
		return h, 0, false
	}
	n = uint32(blocksOf(uint64(length)))
	buf, err := r.d.read(r.ctx, b, int(n))
	if err != nil {
		return h, 0, false
	}
	h, err = layout.DecodeHeader(buf)
	return h, n, err == nil && h.Self.Addr == layout.MakeAddr(0, b)
}

// choose picks the store to salvage.
func (r *repairer) choose(all map[uint64]*traces, sb *layout.Superblock, found *ebofs.Found) (*traces, error) {
	want := r.o.FSID
	for _, l := range found.Labels {
		if want.IsZero() && l.Err == nil {
			want = l.Label.FSID
		}
	}
	if sb != nil {
		want = sb.FSID
	}
	if !want.IsZero() {
		t := all[le.Uint64(want[:8])]
		if t == nil {
			return nil, fmt.Errorf("store %v: %w", want, ErrNothing)
		}
		t.fsid = want
		return t, nil
	}
	var best *traces
	for _, t := range all {
		if best == nil || t.votes > best.votes || t.votes == best.votes && bytes.Compare(t.fsid[:], best.fsid[:]) < 0 {
			best = t
		}
	}
	if best == nil {
		return nil, ErrNothing
	}
	for _, t := range all {
		if t != best {
			r.res.Refused = append(r.res.Refused, fmt.Sprintf("traces of store %v (%d) were left out; --fsid picks it", t.fsid, t.votes))
		}
	}
	return best, nil
}

// makeSuper makes a superblock for a store that has none, as mkfs would lay the
// device out. Where the zones began is not written anywhere else; if something lies
// in front of where mkfs would let them begin, the log shrinks to its least.
func (r *repairer) makeSuper(t *traces, found *ebofs.Found) error {
	o := ebofs.FormatOptions{UUID: t.fsid, Now: r.o.Now}
	for _, l := range found.Labels {
		if l.Err == nil && l.Label.FSID == t.fsid {
			o.DeviceUUID, o.Label, o.Cluster, o.SizeBytes = l.Label.DeviceUUID, l.Label.Text, l.Label.Cluster, l.Label.Blocks*layout.BlockSize
			break
		}
	}
	info, err := ebofs.PlanFormat(r.d.dev, o)
	if err != nil {
		return err
	}
	if t.lowest < info.Placement.ZoneStart {
		o.LogBytes = 4 << 20
		if info, err = ebofs.PlanFormat(r.d.dev, o); err != nil {
			return err
		}
		if t.lowest < info.Placement.ZoneStart {
			return fmt.Errorf("blocks of the store begin at %d, where its log would be: was it on another device? That cannot be salvaged: %w", t.lowest, ebofs.ErrUnsupported)
		}
	}
	g := r.d.dev.Geometry()
	now := r.o.Now()
	r.sb = layout.Superblock{
		FSID: t.fsid, DeviceUUID: info.DeviceUUID, Role: layout.RoleMain, UnitBytes: max(g.UnitBytes, layout.BlockSize),
		Features: layout.Features{Incompat: layout.FeatInlineData}, Cluster: o.Cluster, OSD: -1, Created: now, Text: o.Label,
		Devices: []layout.DeviceEntry{{UUID: info.DeviceUUID, Blocks: info.Blocks, Role: layout.RoleMain}},
	}
	r.sb.SetPlacement(info.Placement)
	if info.Placement.HardStripes {
		r.sb.Features.Incompat |= layout.FeatHardGeometry
	}
	r.sb.Rings = []layout.Ring{{
		Start: layout.MakeAddr(0, info.Placement.RingStart), Blocks: info.Placement.RingBlocks,
		Incarnation: 1 + (le.Uint64(r.sb.DeviceUUID[:])^uint64(now.UnixNano()))>>2, TailSeq: 1, // as mkfs begins it
	}}
	r.last = 2
	r.res.did(Action{Code: check.SuperBad, What: fmt.Sprintf("made a superblock for store %v from %d traces of it", t.fsid, t.votes)})
	return nil
}

// fromRoot takes the newest root record, if the log proves that nothing newer is
// missing.
func (r *repairer) fromRoot(t *traces) (ok bool, err error) {
	if len(t.roots) == 0 {
		return false, nil
	}
	x := t.roots[0]
	ring := &r.sb.Rings[0]
	f, logged, err := findLog(r.ctx, r.d.dev, &r.sb)
	if err != nil {
		return false, err
	}
	gap := logged && f.Last > x.rec.Cut && f.First > x.rec.Cut+1
	if gap || t.epoch > x.ref.Epoch && (!logged || f.Last <= x.rec.Cut) {
		return false, nil // there was a newer one
	}
	r.root, r.sb.Root, r.sb.Epoch = *x.rec, x.ref, x.ref.Epoch
	r.sb.Flags |= layout.SuperClean
	if logged {
		ring.Incarnation, ring.TailBlock, ring.TailSeq = f.Incarnation, f.Tail.Block, f.Tail.Seq
		if f.Last > x.rec.Cut {
			r.sb.Flags &^= layout.SuperClean
			if err := r.readLog(); err != nil {
				return false, err
			}
		}
	}
	// A checkpoint that was never finished may have used the next number.
	r.sb.Epoch = max(r.sb.Epoch, t.epoch)
	return true, nil
}

func findLog(ctx context.Context, dev devices.Device, sb *layout.Superblock) (wal.Found, bool, error) {
	ring := &sb.Rings[0]
	return wal.FindTail(ctx, dev, wal.Config{Start: ring.Start.Block(), Blocks: ring.Blocks, FSID: sb.FSID})
}

// fromLeaves puts the trees of the root record together from their leaves.
func (r *repairer) fromLeaves(t *traces, super bool) error {
	// What is newer was never made durable, or at least not whole.
	limit := cmp.Or(t.closed, t.epoch)
	if super {
		limit = r.sb.Epoch
	}
	r.preset = make(map[layout.TreeKind][]leaf)
	r.root = layout.RootRecord{}
	last := uint64(0) // newest node of the tree of collections
	for e := range t.epochs[layout.TreeCollections] {
		if e <= limit {
			last = max(last, e)
		}
	}
	for i := range t.roots {
		x := &t.roots[i]
		if x.ref.Epoch > limit {
			continue
		}
		r.root.NextObjectID, r.root.Cut = x.rec.NextObjectID, x.rec.Cut
		// A small tree of collections lives in the root record itself.
		if x.rec.Collections.Kind == btree.RootInline && x.ref.Epoch >= last {
			r.root.Collections = x.rec.Collections
		}
		break
	}
	for _, k := range []layout.TreeKind{layout.TreeObjects, layout.TreeCollections} {
		root := r.root.Root(k)
		if root.Kind != btree.RootEmpty {
			continue
		}
		if top, ok := t.top(k, limit); ok {
			*root = top
			continue
		}
		if r.preset[k] = newest(t.leaves[k], nil, nil, limit, func([]leaf) bool { return true }); len(r.preset[k]) > 0 {
			r.res.Doubtful = true
		}
	}
	if r.root.Objects.Kind == btree.RootEmpty && r.root.Collections.Kind == btree.RootEmpty && !r.res.Doubtful {
		return fmt.Errorf("neither objects nor collections: %w", ErrNothing)
	}
	r.o.Deep = true
	r.root.NextObjectID += 1 << 20 // ids of objects whose leaves are lost are not given out again
	what := "found the roots of the trees by searching the device"
	if r.res.Doubtful {
		what = fmt.Sprintf("put trees together from their leaves, %d of objects and %d of collections; should some be damaged, older versions stand in their place", len(r.preset[layout.TreeObjects]), len(r.preset[layout.TreeCollections]))
	}
	r.res.did(Action{Code: check.RootBad, What: what})
	if !super {
		r.sb.Epoch = max(t.epoch, t.closed, 1)
		r.sb.Flags |= layout.SuperClean
		return r.joinLog(limit)
	}
	r.sb.Epoch = max(r.sb.Epoch, t.epoch)
	if r.logged.Records > 0 {
		r.root.Cut = r.logged.First - 1
	}
	return nil
}

// joinLog finds where in the log the checkpoint of an epoch ends, so that it can be
// replayed from there. If that cannot be said, what the log changes is marked.
func (r *repairer) joinLog(epoch uint64) error {
	f, ok, err := findLog(r.ctx, r.d.dev, &r.sb)
	if err != nil || !ok {
		return err
	}
	ring := &r.sb.Rings[0]
	ring.Incarnation, ring.TailBlock, ring.TailSeq = f.Incarnation, f.Tail.Block, f.Tail.Seq
	if err := r.readLog(); err != nil {
		return err
	}
	cut := r.root.Cut
	for e, last := range r.logged.LastOf {
		if e <= epoch {
			cut = max(cut, last)
		}
	}
	switch {
	case r.logged.Last <= cut:
		r.logged = ebofs.LogContent{}
	case f.Whole || r.logged.First <= cut+1:
		r.root.Cut = max(cut, r.logged.First-1)
		r.sb.Flags &^= layout.SuperClean
		return nil
	default:
		r.res.did(Action{Code: check.LogDamage, Lost: true, What: fmt.Sprintf("%d records of the log do not join what was found: the objects they change are marked", r.logged.Records)})
		r.unjoined, r.logged = r.logged.Keys, ebofs.LogContent{}
	}
	r.root.Cut = max(cut, f.Last)
	// The next mount is not to take these for new.
	ring.Incarnation, ring.TailBlock, ring.TailSeq = f.Incarnation+1, 0, 1
	return nil
}
