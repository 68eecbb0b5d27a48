package image

import (
	"encoding/binary"
	"slices"

	"ebofs/btree"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// editors are what is done to the nodes of each kind of tree.
type editors [layout.TreeExtents + 1]*btree.Editor

// hashedKey is what an object's key has before its names: shard, pool and hash.
const hashedKey = 13

func (s *saver) newEditors() (es editors) {
	for k := layout.TreeCollections; k <= layout.TreeExtents; k++ {
		e := &btree.Editor{Owner: s.owner, Child: func(p btree.Ptr) uint32 { return s.child(k, p) }}
		es[k] = e
		switch k {
		case layout.TreeCollections, layout.TreeTrash:
			e.Item, e.Overflow = s.value, s.longRecord
		case layout.TreeObjects:
			e.Key, e.Item, e.Overflow = s.objectKey, s.value, s.longRecord
		case layout.TreeRefs:
			e.Item = func(_, val []byte) { s.group(val) }
		case layout.TreeAttrs, layout.TreeOmap:
			e.Item, e.Overflow = func(_, val []byte) { clear(val) }, s.longValue
		case layout.TreeExtents:
			e.Item = func(_, val []byte) { s.chunk(val) }
		case layout.TreeOwners:
			e.Item = func(key, val []byte) {
				if _, id, err := layout.DecodeOwnerKey(key); err == nil && id != 0 {
					s.objectKey(val)
				}
			}
		}
	}
	es[layout.TreeCollections].Key = func(k []byte) { s.name(collectionNames, k) }
	es[layout.TreeAttrs].Key = func(k []byte) { s.name(attrNames, k) }
	es[layout.TreeOmap].Key = func(k []byte) { s.name(omapNames, k) }
	return es
}

// editor returns what to do with nodes of a kind; nil for one we do not know.
func (s *saver) editor(kind layout.TreeKind) *btree.Editor {
	if int(kind) < len(s.editors) {
		return s.editors[kind]
	}
	return nil
}

// name collects a name, or scrambles it in place.
func (s *saver) name(kind int, p []byte) {
	switch n := s.names[kind]; {
	case s.o.PlainNames:
	case s.out == nil:
		n.add(p)
	default:
		n.apply(p)
	}
}

// objectKey is name for an encoded key of an object, or the beginning of one.
func (s *saver) objectKey(k []byte) {
	if len(k) > hashedKey {
		s.name(objectNames, k[hashedKey:])
	}
}

func (s *saver) owner(own *btree.Owner) { s.objectKey(own.Key[:]) }

// renamed is name for log records.
func (s *saver) renamed(kind int) func(string) string {
	return func(name string) string {
		p := []byte(name)
		if kind == objectNames {
			s.objectKey(p)
		} else {
			s.name(kind, p)
		}
		return string(p)
	}
}

// value takes the contents out of a record about an object, a collection or a
// removed object.
func (s *saver) value(_, val []byte) {
	if layout.EditValue(val, &layout.ValueEditor{Root: s.root, Bytes: func(p []byte) { clear(p) }, CRC: zeroBlockCRC}) != nil {
		clear(val[min(len(val), 3):]) // it is none, and stays none
	}
}

// root goes over the tree of a descriptor and corrects its checksum.
func (s *saver) root(kind layout.TreeKind, desc []byte) error {
	e := s.editor(kind)
	if e == nil {
		clear(desc)
		return nil
	}
	return btree.EditRoot(desc, e)
}

// group checks a value of the refs tree, which holds addresses only.
func (s *saver) group(val []byte) {
	var g layout.RefGroup
	if layout.DecodeRefGroup(val, &g) != nil {
		clear(val[min(len(val), 4):])
	}
}

// chunk makes the checksums of data those of zeros: they would tell who guesses what
// is in a block whether he is right.
func (s *saver) chunk(val []byte) {
	if layout.SetChunkCRCs(val, zeroBlockCRC) != nil {
		clear(val[min(len(val), 8):])
	}
}

var zeroBlockCRC = layout.CRC(make([]byte, layout.BlockSize))

// zeroCRC is the checksum of n zeros.
func zeroCRC(n int) uint32 {
	if n == layout.BlockSize {
		return zeroBlockCRC
	}
	return layout.CRC(make([]byte, n))
}

// longValue replaces a value of an attribute or omap key that has blocks of its own
// by zeros, wrong ones if it was damaged.
func (s *saver) longValue(_ []byte, ext []btree.BlobExtent) {
	if s.out == nil {
		return
	}
	for i := range ext {
		e := &ext[i]
		p := s.run(e)
		if p == nil {
			continue
		}
		e.CRC ^= layout.CRC(p) ^ zeroCRC(len(p))
		s.zeros(layout.Addr(e.Addr).Device(), layout.Addr(e.Addr).Block(), uint32(blocksOf(len(p))))
	}
}

// longRecord does for a record with blocks of its own what value does.
func (s *saver) longRecord(key []byte, ext []btree.BlobExtent) {
	var all []byte
	sound := true
	for i := range ext {
		p := s.run(&ext[i])
		sound = sound && p != nil && layout.CRC(p) == ext[i].CRC
		all = append(all, p...)
	}
	if !sound || len(all) > layout.MaxOnodeBytes {
		s.longValue(key, ext)
		return
	}
	s.value(key, all)
	for i := range ext {
		e := &ext[i]
		p := all[:e.Bytes]
		all = all[e.Bytes:]
		e.CRC = layout.CRC(p)
		s.put(layout.Addr(e.Addr).Device(), layout.Addr(e.Addr).Block(), append(slices.Clone(p), make([]byte, blocksOf(len(p))*layout.BlockSize-len(p))...))
	}
}

// maxRun bounds what is read of a long value at once; the format allows more only in
// a forged one.
const maxRun = 64 << 20

// run reads a run of a long value, nil if it cannot be read.
func (s *saver) run(e *btree.BlobExtent) []byte {
	if e.Bytes > maxRun {
		return nil
	}
	a := layout.Addr(e.Addr)
	p := s.read(a.Device(), a.Block(), blocksOf(int(e.Bytes)))
	if p == nil {
		return nil
	}
	return p[:e.Bytes]
}

func blocksOf(n int) int { return (n + layout.BlockSize - 1) / layout.BlockSize }

// record takes names and contents out of a record of the log.
func (s *saver) record(p []byte, flags uint16) {
	err := ebofs.EditRecord(p, &ebofs.RecordEditor{
		Key: s.renamed(objectNames), Collection: s.renamed(collectionNames), Attr: s.renamed(attrNames), Omap: s.renamed(omapNames),
		Placed: s.placed,
	})
	if err != nil && len(p) > 1 {
		clear(p[1:]) // it is none, and stays none: no operation has the code 0
		binary.PutUvarint(p[1:], 1)
	}
}

// placed is chunk for data that a record names: whether it was there decides if the
// record was ever committed.
func (s *saver) placed(a layout.Addr, crc []uint32) {
	if s.out == nil {
		return
	}
	for i := range crc {
		if p := s.read(a.Device(), a.Block()+uint64(i), 1); p != nil {
			crc[i] ^= layout.CRC(p) ^ zeroBlockCRC
			s.zeros(a.Device(), a.Block()+uint64(i), 1)
		}
	}
}
