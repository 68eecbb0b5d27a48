package layout

import (
	"fmt"
)

// SpaceKind says what a checkpoint did to an extent.
type SpaceKind uint8

// The kinds.
const (
	SpaceAlloc SpaceKind = 1 // was free, is used
	SpaceFree  SpaceKind = 2 // was used, is free
)

// String returns "alloc" or "free".
func (k SpaceKind) String() string {
	switch k {
	case SpaceAlloc:
		return "alloc"
	case SpaceFree:
		return "free"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// SpaceEntry is one change of the free space, net of a whole checkpoint.
//
//	off len field    16 bytes
//	  0   8 start    address
//	  8   4 blocks
//	 12   1 kind     1 alloc, 2 free
//	 13   3 reserved, zero
type SpaceEntry struct {
	Start  Addr
	Blocks uint32
	Kind   SpaceKind
}

// SpaceEntryBytes is the encoded size of a SpaceEntry.
const SpaceEntryBytes = 16

const (
	spaceLogFixed = 16
	// MaxSpaceEntries bounds one segment at 64 MiB.
	MaxSpaceEntries = 1<<22 - 8
	maxSpaceBlocks  = (HeaderBytes+spaceLogFixed+SpaceEntryBytes*MaxSpaceEntries)/BlockSize + 1
)

// SpaceLog is one segment of the free-space log: what the checkpoint of its epoch
// allocated and freed, ascending and without overlap. A zone's bitmap of epoch f
// plus all segments with epoch > f, oldest first, is its state.
//
//	off len field
//	  0  64 Header, kind 4
//	 64   4 entries
//	 68  12 reserved, zero
//	 80     entries × SpaceEntry
type SpaceLog struct {
	Entries []SpaceEntry
}

// Bytes returns the encoded size, before rounding up to blocks.
func (l *SpaceLog) Bytes() int { return HeaderBytes + spaceLogFixed + SpaceEntryBytes*len(l.Entries) }

// Blocks returns how many blocks Encode needs.
func (l *SpaceLog) Blocks() int { return blocksFor(l.Bytes()) }

// checkEntry verifies entry i given the end of the one before.
func checkSpaceEntry(i int, e SpaceEntry, end Addr) error {
	if e.Kind != SpaceAlloc && e.Kind != SpaceFree || e.Start < end || (Extent{e.Start, uint64(e.Blocks)}).check() != nil {
		return malformed("space log", fmt.Sprintf("entry %d", i), fmt.Sprintf("%v~%d %v", e.Start, e.Blocks, e.Kind), fmt.Sprintf("at or behind %v", end))
	}
	return nil
}

// Encode fills p, whole blocks and at least Blocks() of them, and returns the
// pointer for the root record.
func (l *SpaceLog) Encode(p []byte, self Self) (Ref, error) {
	if len(l.Entries) > MaxSpaceEntries {
		return Ref{}, fmt.Errorf("space log: %d entries, at most %d: %w", len(l.Entries), MaxSpaceEntries, ErrInvalid)
	}
	if err := frame(p, KindSpaceLog, l.Bytes(), self); err != nil {
		return Ref{}, err
	}
	q := p[HeaderBytes:]
	clear(q[:spaceLogFixed])
	le.PutUint32(q, uint32(len(l.Entries)))
	q = q[spaceLogFixed:]
	end := Addr(0)
	for i, e := range l.Entries {
		if err := checkSpaceEntry(i, e, end); err != nil {
			return Ref{}, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		end = e.Start + Addr(e.Blocks)
		le.PutUint64(q, uint64(e.Start))
		le.PutUint32(q[8:], e.Blocks)
		le.PutUint32(q[12:], uint32(e.Kind))
		q = q[SpaceEntryBytes:]
	}
	return finish(p, KindSpaceLog, l.Bytes(), self), nil
}

// DecodeSpaceLog verifies p against its parent's pointer and decodes it.
func DecodeSpaceLog(p []byte, fsid UUID, ref Ref) (*SpaceLog, error) {
	q, err := ref.Verify(p, KindSpaceLog, fsid)
	if err != nil {
		return nil, err
	}
	if len(q) < spaceLogFixed {
		return nil, truncated("space log", "body", len(q), spaceLogFixed)
	}
	n := le.Uint32(q)
	q = q[spaceLogFixed:]
	if n > MaxSpaceEntries || uint64(len(q)) < uint64(n)*SpaceEntryBytes {
		return nil, malformed("space log", "entries", n, fmt.Sprintf("%d bytes", len(q)))
	}
	l := &SpaceLog{Entries: make([]SpaceEntry, n)}
	end := Addr(0)
	for i := range l.Entries {
		e := SpaceEntry{Addr(le.Uint64(q)), le.Uint32(q[8:]), SpaceKind(q[12])}
		if err := checkSpaceEntry(i, e, end); err != nil {
			return nil, err
		}
		end = e.Start + Addr(e.Blocks)
		l.Entries[i] = e
		q = q[SpaceEntryBytes:]
	}
	return l, nil
}
