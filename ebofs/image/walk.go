package image

import (
	"bytes"
	"slices"

	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/ebofs/wal"
)

// Every structure is edited in a copy. Its checksum changes by some bits, and these
// are the bits by which the copies of it in its parents have to change: so what was
// equal stays equal, and what differed differs as it did (P3).

// nodeHeader is the header of a node, which holds no name but the owner's hint.
const nodeHeader = 96

// child copies the node p leads to, once, and returns the checksum p is to have.
func (s *saver) child(kind layout.TreeKind, p btree.Ptr) uint32 {
	ref := layout.Ref{Addr: layout.Addr(p.Addr), Epoch: p.Epoch, CRC: p.CRC, Blocks: uint32(p.Blocks)}
	change, ok := s.seen[ref]
	if !ok && !s.failed() {
		s.seen[ref] = 0 // should it lead to itself
		change = s.node(kind, ref.Addr, int(p.Blocks))
		s.seen[ref] = change
	}
	return p.CRC ^ change
}

// node copies one node and what is below it. It returns by what its checksum
// changed.
func (s *saver) node(kind layout.TreeKind, a layout.Addr, blocks int) (change uint32) {
	p := s.readNode(a, blocks)
	if p == nil {
		return 0
	}
	s.res.Nodes++
	if s.o.Progress != nil && s.res.Nodes%256 == 0 {
		phase := "save"
		if s.out == nil {
			phase = "names"
		}
		s.o.Progress(phase, s.res.Nodes)
	}
	was, now, err := btree.Edit(p, uint8(kind), s.editors[kind])
	if err != nil { // sound perhaps, but not of this tree
		was, now, err = btree.Edit(p, p[40], blankEditor)
	}
	if err == nil {
		s.put(a.Device(), a.Block(), p)
		return was ^ now
	}
	if string(p[:4]) != "EBTN" {
		s.strange(a.Device(), a.Block(), p)
		return 0
	}
	s.orphans(kind, p)
	return s.headerOnly(a, p, func() {
		clear(p[41:56]) // the owner's hint
		clear(p[nodeHeader:])
	})
}

// blankEditor keeps nothing but the shape of a node.
var blankEditor = &btree.Editor{
	Key:   func(k []byte) { copy(k, bytes.Repeat([]byte{'x'}, len(k))) },
	Owner: func(own *btree.Owner) { own.Key = [15]byte{} },
	Item:  func(_, val []byte) { clear(val) },
}

// orphans copies what a damaged inner node leads to, if that can still be made out:
// a repair would find it.
func (s *saver) orphans(kind layout.TreeKind, p []byte) {
	q := slices.Clone(p)
	le.PutUint32(q[4:], 0)
	le.PutUint32(q[4:], layout.CRC(q))
	page, err := btree.ParsePage(q)
	if err != nil || page.Level() == 0 {
		return
	}
	for i := range page.Len() {
		c, _, _ := page.Child(i)
		s.child(kind, c)
	}
}

// readNode reads a node; what looks damaged is read again before it is believed.
func (s *saver) readNode(a layout.Addr, blocks int) (p []byte) {
	for range readTries {
		if p = s.read(a.Device(), a.Block(), blocks); p == nil {
			return nil
		}
		if _, err := btree.ParsePage(p); err == nil {
			break
		}
	}
	return p
}

// headerOnly copies a structure of which only the header can be told from data;
// blank clears the rest.
func (s *saver) headerOnly(a layout.Addr, p []byte, blank func()) (change uint32) {
	change = reseal(p, blank)
	s.put(a.Device(), a.Block(), p)
	return change
}

// reseal changes a structure with its checksum at 4: right stays right, wrong wrong.
func reseal(p []byte, edit func()) (change uint32) {
	was := le.Uint32(p[4:])
	le.PutUint32(p[4:], 0)
	sum := layout.CRC(p)
	le.PutUint32(p[4:], was)
	edit()
	le.PutUint32(p[4:], 0)
	change = sum ^ layout.CRC(p)
	le.PutUint32(p[4:], was^change)
	return change
}

// rootRecord copies a root record and all below it.
func (s *saver) rootRecord(ref layout.Ref, fsid layout.UUID) {
	if _, ok := s.seen[ref]; ok || ref.IsNone() {
		return
	}
	s.seen[ref] = 0
	p := s.readRef(ref)
	if p == nil {
		return
	}
	rec, err := layout.DecodeRootRecord(slices.Clone(p), fsid, ref)
	if err != nil {
		s.seen[ref] = s.damaged(ref.Addr, p)
		return
	}
	for _, t := range rec.ZoneTables {
		if q := s.fixed(t); q != nil {
			if table, err := layout.DecodeZoneTable(q, fsid, t); err == nil {
				for i := range table.Zones {
					s.fixed(table.Zones[i].Bitmap)
				}
			}
		}
	}
	for i := range rec.SpaceLog {
		s.fixed(rec.SpaceLog[i].Ref)
	}
	q := slices.Clone(p)
	s.seen[ref] = reseal(p, func() {
		// The editor wants a right checksum, which q has.
		if layout.EditRootRecord(q, s.root) != nil {
			clear(q[layout.HeaderBytes:])
		}
		copy(p[layout.HeaderBytes:], q[layout.HeaderBytes:])
	})
	s.put(ref.Addr.Device(), ref.Addr.Block(), p)
}

// readRef reads a structure with a header, again if it looks damaged.
func (s *saver) readRef(ref layout.Ref) (p []byte) {
	for range readTries {
		if p = s.read(ref.Addr.Device(), ref.Addr.Block(), int(ref.Blocks)); p == nil {
			return nil
		}
		if _, err := layout.DecodeHeader(p); err == nil {
			break
		}
	}
	return p
}

// fixed copies a structure that holds neither names nor contents, once, and returns
// it if it is there.
func (s *saver) fixed(ref layout.Ref) []byte {
	if ref.IsNone() {
		return nil
	}
	if _, ok := s.seen[ref]; ok {
		return nil
	}
	s.seen[ref] = 0
	p := s.readRef(ref)
	if p == nil {
		return nil
	}
	switch h, err := layout.DecodeHeader(p); {
	case err == nil && h.Kind != layout.KindRootRecord:
		s.put(ref.Addr.Device(), ref.Addr.Block(), p)
		return p
	default:
		// Its checksum may change, its parent's copy does not: it was wrong.
		s.damaged(ref.Addr, p)
		return nil
	}
}

// damaged copies what is left of a structure with a header.
func (s *saver) damaged(a layout.Addr, p []byte) (change uint32) {
	switch string(p[:4]) {
	case "EBrr", "EBzt", "EBzb", "EBsl":
		return s.headerOnly(a, p, func() { clear(p[layout.HeaderBytes:]) })
	}
	s.strange(a.Device(), a.Block(), p)
	return 0
}

// logs copies the log as far as any of the superblocks, the oldest first, would have
// it replayed.
func (s *saver) logs(sbs []*layout.Superblock) {
	var last *layout.Ring
	var e *wal.Edit
	for _, sb := range sbs {
		if len(sb.Rings) == 0 {
			continue
		}
		ring := sb.Rings[0]
		dev, ok := s.devs[ring.Start.Device()]
		if !ok || last != nil && *last == ring {
			continue
		}
		if last == nil || last.Incarnation != ring.Incarnation {
			e = s.logEditor(ring)
		}
		last = &ring
		// An error is s.err, or a ring outside of its device: there is nothing of it.
		_ = e.Run(s.ctx, dev, wal.Config{Start: ring.Start.Block(), Blocks: ring.Blocks, FSID: sb.FSID, Incarnation: ring.Incarnation}, wal.Pos{Block: ring.TailBlock, Seq: ring.TailSeq})
	}
}

func (s *saver) logEditor(ring layout.Ring) *wal.Edit {
	dev, start := ring.Start.Device(), ring.Start.Block()
	return &wal.Edit{
		Record: s.record,
		Write: func(off uint64, p []byte) error {
			s.put(dev, start+off, p)
			return s.err
		},
		Unread: func(off, blocks uint64) error {
			s.withhold(dev, start+off, uint32(blocks))
			return s.err
		},
	}
}
