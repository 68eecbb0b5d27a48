package layout

import (
	"fmt"

	"ebofs/btree"
)

const (
	// MaxSpaceSegments bounds the space log; a checkpoint that would need one more
	// flushes zone bitmaps instead.
	MaxSpaceSegments = 64
	// MaxZoneTables bounds the parts of the zone table.
	MaxZoneTables = 64

	maxZoneTableBlocks = (HeaderBytes+zoneTableFixed+ZoneEntryBytes*MaxZones)/BlockSize + 1
)

// Counters are the totals statfs and fsck compare with a recount.
type Counters struct {
	Collections  uint64 `json:"collections"`
	Objects      uint64 `json:"objects"`
	LogicalBytes uint64 `json:"logical_bytes"` // sum of object sizes
	DataBlocks   uint64 `json:"data_blocks"`   // blocks named by extents and overflow values
	MetaBlocks   uint64 `json:"meta_blocks"`   // blocks of tree nodes
	TrashObjects uint64 `json:"trash_objects"` // removed, space not yet returned
	TrashBlocks  uint64 `json:"trash_blocks"`  // data blocks they still hold; part of DataBlocks
}

const countersBytes = 7 * 8

// SpaceSegment is one segment of the space log as the root record names it.
//
//	off len field   32 bytes
//	  0  24 Ref
//	 24   4 entries
//	 28   4 reserved, zero
type SpaceSegment struct {
	Ref     Ref
	Entries uint32
}

const spaceSegmentBytes = 32

// RootRecord is the top of a checkpoint: everything the store knows is reachable
// from here. It is written to new blocks each time, at most 16, and only the
// superblock points to it. Blocks of root record, zone tables, zone bitmaps and
// space log are in no zone bitmap: this record names them all (the bitmaps through
// the zone table), so allocating them changes nothing that would have to be written
// again.
//
//	off len field
//	  0  64 Header, kind 1
//	 64   8 cut             last txid in this checkpoint
//	 72   8 next object id
//	 80  48 reserved, zero
//	128     sections
//	        1 roots         each: tree kind u8, root descriptor; empty ones left out
//	        2 zone tables   Refs, by first zone; none: every zone is free
//	        3 space log     SpaceSegments, oldest first
//	        4 counters      u64 each, in the order of Counters
//	        5 kept epochs   how many are wanted u16, reserved 6, then KeptEpochs,
//	                        oldest first; none: nothing is kept
type RootRecord struct {
	Cut          uint64
	NextObjectID uint64

	Collections, Objects, Trash, Refs, Owners btree.Root

	ZoneTables []Ref
	SpaceLog   []SpaceSegment
	Counters   Counters

	Keep uint16 // how many epochs are to be kept
	Kept []KeptEpoch

	extra []byte // sections of newer versions, kept
}

const (
	rootFixed    = 64
	secRoots     = 1
	secZoneTable = 2
	secSpaceLog  = 3
	secCounters  = 4
	secKept      = 5
)

// Root returns the root of one of the five global trees, or nil.
func (r *RootRecord) Root(k TreeKind) *btree.Root {
	switch k {
	case TreeCollections:
		return &r.Collections
	case TreeObjects:
		return &r.Objects
	case TreeTrash:
		return &r.Trash
	case TreeRefs:
		return &r.Refs
	case TreeOwners:
		return &r.Owners
	}
	return nil
}

// body appends everything behind the header.
func (r *RootRecord) body(dst []byte) []byte {
	var fixed [rootFixed]byte
	le.PutUint64(fixed[:], r.Cut)
	le.PutUint64(fixed[8:], r.NextObjectID)
	dst = append(dst, fixed[:]...)

	var b []byte
	for k := TreeCollections; k <= TreeOwners; k++ {
		if t := r.Root(k); t.Kind != btree.RootEmpty {
			b = t.Append(append(b, uint8(k)))
		}
	}
	if len(b) > 0 {
		dst = appendSection(dst, secRoots, b)
	}
	b = b[:0]
	for _, t := range r.ZoneTables {
		var p [RefBytes]byte
		putRef(p[:], t)
		b = append(b, p[:]...)
	}
	if len(b) > 0 {
		dst = appendSection(dst, secZoneTable, b)
	}
	b = b[:0]
	for _, s := range r.SpaceLog {
		var p [spaceSegmentBytes]byte
		putRef(p[:], s.Ref)
		le.PutUint32(p[24:], s.Entries)
		b = append(b, p[:]...)
	}
	if len(b) > 0 {
		dst = appendSection(dst, secSpaceLog, b)
	}
	b = b[:0]
	c := &r.Counters
	for _, v := range [...]uint64{c.Collections, c.Objects, c.LogicalBytes, c.DataBlocks, c.MetaBlocks, c.TrashObjects, c.TrashBlocks} {
		b = le.AppendUint64(b, v)
	}
	dst = appendSection(dst, secCounters, b)
	if r.Keep > 0 || len(r.Kept) > 0 {
		dst = appendSection(dst, secKept, r.appendKept(b[:0]))
	}
	return append(dst, r.extra...)
}

// Blocks returns how many blocks Encode needs.
func (r *RootRecord) Blocks() int { return blocksFor(HeaderBytes + len(r.body(nil))) }

func (r *RootRecord) check() error {
	const kind = "root record"
	if len(r.ZoneTables) > MaxZoneTables || len(r.SpaceLog) > MaxSpaceSegments {
		return malformed(kind, "zone tables, space log segments", fmt.Sprint(len(r.ZoneTables), ", ", len(r.SpaceLog)), "≤ 64, 64")
	}
	for i, t := range r.ZoneTables {
		if t.IsNone() {
			return malformed(kind, fmt.Sprintf("zone table %d", i), t, nil)
		}
		if err := t.check(kind, fmt.Sprintf("zone table %d", i), maxZoneTableBlocks); err != nil {
			return err
		}
	}
	for i, s := range r.SpaceLog {
		field := fmt.Sprintf("space log %d", i)
		if s.Ref.IsNone() || s.Entries > MaxSpaceEntries || i > 0 && s.Ref.Epoch < r.SpaceLog[i-1].Ref.Epoch {
			return malformed(kind, field, fmt.Sprint(s.Ref, " entries ", s.Entries), "ascending epochs")
		}
		if err := s.Ref.check(kind, field, maxSpaceBlocks); err != nil {
			return err
		}
	}
	if err := r.checkKept(); err != nil {
		return err
	}
	return checkExtra(kind, secKept, r.extra)
}

// Encode fills p, whole blocks and at least Blocks() of them, and returns the
// pointer for the superblock.
func (r *RootRecord) Encode(p []byte, self Self) (Ref, error) {
	if err := r.check(); err != nil {
		return Ref{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	body := r.body(nil)
	n := HeaderBytes + len(body)
	if err := frame(p, KindRootRecord, n, self); err != nil {
		return Ref{}, err
	}
	if len(p) > MaxRootBlocks*BlockSize {
		return Ref{}, fmt.Errorf("root record: %d blocks, at most %d: %w", len(p)/BlockSize, MaxRootBlocks, ErrInvalid)
	}
	copy(p[HeaderBytes:], body)
	return finish(p, KindRootRecord, n, self), nil
}

// DecodeRootRecord verifies p against the superblock's pointer and decodes it.
// Inline roots alias p.
func DecodeRootRecord(p []byte, fsid UUID, ref Ref) (*RootRecord, error) {
	q, err := ref.Verify(p, KindRootRecord, fsid)
	if err != nil {
		return nil, err
	}
	r, err := decodeRootBody(q)
	if c, ok := err.(*Corruption); ok {
		c.Addr = ref.Addr
	}
	return r, err
}

func decodeRootBody(q []byte) (*RootRecord, error) {
	const kind = "root record"
	if len(q) < rootFixed {
		return nil, truncated(kind, "body", len(q), rootFixed)
	}
	r := &RootRecord{Cut: le.Uint64(q), NextObjectID: le.Uint64(q[8:])}
	q = q[rootFixed:]
	last := 0
	for len(q) > 0 {
		tag, body, raw, rest, err := nextSection(kind, last, q)
		if err != nil {
			return nil, err
		}
		switch tag {
		case secRoots:
			err = r.decodeRoots(body)
		case secZoneTable:
			if len(body)%RefBytes != 0 || len(body) > MaxZoneTables*RefBytes {
				return nil, malformed(kind, "zone table bytes", len(body), fmt.Sprintf("multiple of %d", RefBytes))
			}
			for ; len(body) > 0; body = body[RefBytes:] {
				r.ZoneTables = append(r.ZoneTables, getRef(body))
			}
		case secSpaceLog:
			if len(body)%spaceSegmentBytes != 0 || len(body) > MaxSpaceSegments*spaceSegmentBytes {
				return nil, malformed(kind, "space log bytes", len(body), fmt.Sprintf("multiple of %d", spaceSegmentBytes))
			}
			for ; len(body) > 0; body = body[spaceSegmentBytes:] {
				r.SpaceLog = append(r.SpaceLog, SpaceSegment{getRef(body), le.Uint32(body[24:])})
			}
		case secCounters:
			if len(body) < countersBytes {
				return nil, truncated(kind, "counters", len(body), countersBytes)
			}
			c := &r.Counters
			for i, v := range [...]*uint64{&c.Collections, &c.Objects, &c.LogicalBytes, &c.DataBlocks, &c.MetaBlocks, &c.TrashObjects, &c.TrashBlocks} {
				*v = le.Uint64(body[8*i:])
			}
		case secKept:
			err = r.decodeKept(body)
		default:
			err = unknownSection(kind, tag)
			r.extra = append(r.extra, raw...)
		}
		if err != nil {
			return nil, err
		}
		last, q = int(tag), rest
	}
	if err := r.check(); err != nil {
		return nil, err
	}
	return r, nil
}

func (r *RootRecord) decodeRoots(p []byte) error {
	last := TreeKind(0)
	for len(p) > 0 {
		k := TreeKind(p[0])
		t := r.Root(k)
		if t == nil || k <= last {
			return malformed("root record", "tree", uint8(k), "1..5 ascending")
		}
		root, rest, err := btree.DecodeRoot(p[1:])
		if err != nil {
			return rootError("root record", k.String(), err)
		}
		*t, last, p = root, k, rest
	}
	return nil
}
