package layout

import (
	"fmt"
)

// MaxZones bounds the zones of a store: 2^20 zones of 1 GiB are a PiB.
const MaxZones = 1 << 20

// ZoneClass says what a zone holds.
type ZoneClass uint8

// The classes. A zone gets one when its first stripe is taken and loses it when
// the last is free again.
const (
	ZoneFree ZoneClass = 0
	ZoneMeta ZoneClass = 1
	ZoneData ZoneClass = 2
)

// String returns the class's name.
func (c ZoneClass) String() string {
	switch c {
	case ZoneFree:
		return "free"
	case ZoneMeta:
		return "meta"
	case ZoneData:
		return "data"
	}
	return fmt.Sprintf("class %d", uint8(c))
}

// ZoneEntry is what a store knows of a zone without loading its bitmap.
//
//	off len field          32 bytes
//	  0   4 free blocks    as of the flushed epoch plus the space log since
//	  4   4 free stripes   likewise
//	  8   1 class
//	  9   1 flags          ZoneLost
//	 10   2 bitmap blocks
//	 12   4 bitmap crc
//	 16   8 flushed epoch  epoch of the bitmap; log entries up to it are in it
//	 24   8 bitmap address 0: every block was free at the flushed epoch
type ZoneEntry struct {
	FreeBlocks  uint32
	FreeStripes uint32
	Class       ZoneClass
	Flags       uint8
	Flushed     uint64 // epoch
	Bitmap      Ref    // its epoch is Flushed; none: all free
}

// ZoneLost in ZoneEntry.Flags says that the bitmap could not be read when blocks
// of the zone were to be booked: it is not to be believed, and nothing is
// allocated there before a repair.
const ZoneLost uint8 = 1 << 0

// ZoneEntryBytes is the encoded size of a ZoneEntry.
const ZoneEntryBytes = 32

// zoneTableFixed is the size of the fields between header and entries.
const zoneTableFixed = 16

// ZoneTable is a part of the zone table: the zones [First, First+len(Zones)).
//
//	off len field
//	  0  64 Header, kind 2
//	 64   4 first zone
//	 68   4 count
//	 72   8 reserved, zero
//	 80     count × ZoneEntry
type ZoneTable struct {
	First uint32
	Zones []ZoneEntry
}

// Bytes returns the encoded size, before rounding up to blocks.
func (t *ZoneTable) Bytes() int { return HeaderBytes + zoneTableFixed + ZoneEntryBytes*len(t.Zones) }

// Blocks returns how many blocks Encode needs.
func (t *ZoneTable) Blocks() int { return blocksFor(t.Bytes()) }

func (e *ZoneEntry) check(z uint32) error {
	field := fmt.Sprintf("zone %d", z)
	switch {
	case e.Class > ZoneData:
		return malformed("zone table", field+" class", uint8(e.Class), "0..2")
	case e.Flags&^ZoneLost != 0:
		return malformed("zone table", field+" flags", e.Flags, "known bits")
	case e.FreeBlocks > MaxZoneBlocks || e.FreeStripes > e.FreeBlocks:
		return malformed("zone table", field+" free blocks, stripes", fmt.Sprint(e.FreeBlocks, ", ", e.FreeStripes), nil)
	case !e.Bitmap.IsNone() && e.Bitmap.Epoch != e.Flushed:
		return malformed("zone table", field+" bitmap epoch", e.Bitmap.Epoch, e.Flushed)
	}
	return e.Bitmap.check("zone table", field+" bitmap", maxBitmapBlocks)
}

// Encode fills p, whole blocks and at least Blocks() of them, and returns the
// pointer for the root record.
func (t *ZoneTable) Encode(p []byte, self Self) (Ref, error) {
	if err := frame(p, KindZoneTable, t.Bytes(), self); err != nil {
		return Ref{}, err
	}
	if uint64(t.First)+uint64(len(t.Zones)) > MaxZones {
		return Ref{}, fmt.Errorf("zone table: zones %d+%d: %w", t.First, len(t.Zones), ErrInvalid)
	}
	q := p[HeaderBytes:]
	clear(q[:zoneTableFixed])
	le.PutUint32(q, t.First)
	le.PutUint32(q[4:], uint32(len(t.Zones)))
	q = q[zoneTableFixed:]
	for i := range t.Zones {
		e := &t.Zones[i]
		if err := e.check(t.First + uint32(i)); err != nil {
			return Ref{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		le.PutUint32(q, e.FreeBlocks)
		le.PutUint32(q[4:], e.FreeStripes)
		q[8], q[9] = uint8(e.Class), e.Flags
		le.PutUint16(q[10:], uint16(e.Bitmap.Blocks))
		le.PutUint32(q[12:], e.Bitmap.CRC)
		le.PutUint64(q[16:], e.Flushed)
		le.PutUint64(q[24:], uint64(e.Bitmap.Addr))
		q = q[ZoneEntryBytes:]
	}
	return finish(p, KindZoneTable, t.Bytes(), self), nil
}

// DecodeZoneTable verifies p against its parent's pointer and decodes it.
func DecodeZoneTable(p []byte, fsid UUID, ref Ref) (*ZoneTable, error) {
	q, err := ref.Verify(p, KindZoneTable, fsid)
	if err != nil {
		return nil, err
	}
	if len(q) < zoneTableFixed {
		return nil, truncated("zone table", "body", len(q), zoneTableFixed)
	}
	first, n := le.Uint32(q), le.Uint32(q[4:])
	q = q[zoneTableFixed:]
	if uint64(len(q)) < uint64(n)*ZoneEntryBytes || uint64(first)+uint64(n) > MaxZones {
		return nil, malformed("zone table", "zones", fmt.Sprintf("%d+%d", first, n), fmt.Sprintf("%d bytes", len(q)))
	}
	t := &ZoneTable{First: first, Zones: make([]ZoneEntry, n)}
	for i := range t.Zones {
		e := &t.Zones[i]
		e.FreeBlocks, e.FreeStripes = le.Uint32(q), le.Uint32(q[4:])
		e.Class, e.Flags = ZoneClass(q[8]), q[9]
		e.Flushed = le.Uint64(q[16:])
		if a := Addr(le.Uint64(q[24:])); !a.IsNone() {
			e.Bitmap = Ref{a, e.Flushed, le.Uint32(q[12:]), uint32(le.Uint16(q[10:]))}
		} else if !isZero(q[10:16]) {
			return nil, malformed("zone table", fmt.Sprintf("zone %d bitmap", first+uint32(i)), "no address", nil)
		}
		if err := e.check(first + uint32(i)); err != nil {
			return nil, err
		}
		q = q[ZoneEntryBytes:]
	}
	return t, nil
}
