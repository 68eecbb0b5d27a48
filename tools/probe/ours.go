package probe

import (
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"ebofs/ebofs/layout"
)

// Store is an EBOFS store, or a device of one, found on a device.
type Store struct {
	ID         string    `json:"id"` // 36 characters
	Text       string    `json:"label,omitempty"`
	Role       string    `json:"role"` // "main", "log"
	Index      int       `json:"device_index"`
	DeviceUUID string    `json:"device_uuid,omitempty"`
	Cluster    string    `json:"cluster,omitempty"`
	OSD        int64     `json:"osd"` // -1: none
	Bytes      uint64    `json:"bytes"`
	Epoch      uint64    `json:"epoch"`
	Objects    int64     `json:"objects"` // as of the last checkpoint; -1: unknown
	Clean      bool      `json:"clean"`   // closed after a checkpoint
	Created    time.Time `json:"created"` // zero: unknown
	Written    time.Time `json:"written"` // of the newest superblock; zero: unknown
	// LabelsFound of LabelsWanted and SlotsFound of 4 tell how much of it is left.
	LabelsFound int `json:"labels_found"`
	// AtStart: block 0 is still a label, be it a damaged one.
	AtStart      bool `json:"label_at_start"`
	LabelsWanted int  `json:"labels_wanted"`
	SlotsFound   int  `json:"slots_found"`
	// Note is set if the store cannot simply be opened: "newer format", "damaged".
	Note string `json:"note,omitempty"`
	// Marks are all labels and slots.
	Marks []Mark `json:"-"`
}

// Short returns the first eight characters of the id.
func (st *Store) Short() string { return st.ID[:min(8, len(st.ID))] }

// ours looks for labels and superblock slots at all their places: those of a
// store that fills the device, and those of a store of the size a mark names.
func ours(s *source) *Store {
	blocks := uint64(s.size / layout.BlockSize)
	st := &Store{OSD: -1, Objects: -1}
	var best layout.Superblock
	seen := map[uint64]bool{}
	scan := func(blocks uint64) {
		labels := layout.LabelBlocks(blocks)
		st.LabelsWanted = len(labels)
		for _, b := range labels {
			if mark, ok := st.label(s, b); ok && !seen[b] {
				st.Marks = append(st.Marks, mark)
				st.AtStart = st.AtStart || b == 0
			}
			seen[b] = true
		}
		for _, b := range layout.SlotBlocks(blocks) {
			if seen[b] {
				continue
			}
			seen[b] = true
			if sb, mark, ok := st.slot(s, b); ok {
				st.Marks = append(st.Marks, mark)
				if sb.Generation > best.Generation {
					best = sb
				}
			}
		}
	}
	scan(blocks)
	if best.Generation > 0 {
		st.Bytes = best.Blocks * layout.BlockSize
	}
	if own := st.Bytes / layout.BlockSize; own > 0 && own != blocks {
		st.LabelsFound = 0
		scan(own)
	}
	if st.Marks == nil {
		return nil
	}
	if best.Generation > 0 {
		st.ID, st.Text, st.Role, st.Index = best.FSID.String(), best.Text, best.Role.String(), int(best.Index)
		st.DeviceUUID = best.DeviceUUID.String()
		st.OSD, st.Bytes, st.Epoch, st.Clean = best.OSD, best.Blocks*layout.BlockSize, best.Epoch, best.Clean()
		st.Created, st.Written = best.Created, best.Written
		if !best.Cluster.IsZero() {
			st.Cluster = best.Cluster.String()
		}
		st.Objects = objects(s, &best)
	}
	if st.Note == "" {
		switch {
		case int64(st.Bytes) > s.size:
			st.Note = "truncated"
		case st.SlotsFound == 0:
			st.Note = "no superblock left"
		case st.LabelsFound < st.LabelsWanted || st.SlotsFound < 4 && best.Generation > 1:
			st.Note = "partly overwritten"
		}
	}
	return st
}

// objects reads how many objects the newest checkpoint holds; -1 if its root
// record cannot be had.
func objects(s *source, sb *layout.Superblock) int64 {
	if sb.Root.IsNone() || sb.Root.Addr.Device() != sb.Index {
		return -1
	}
	p := s.at(int64(sb.Root.Addr.Block()*layout.BlockSize), int(sb.Root.Blocks)*layout.BlockSize)
	if p == nil {
		return -1
	}
	rec, err := layout.DecodeRootRecord(p, sb.FSID, sb.Root)
	if err != nil {
		return -1
	}
	return int64(rec.Counters.Objects)
}

// label takes what the block says into st. A block with our magic whose rest
// is damaged counts: somebody's store was there.
func (st *Store) label(s *source, b uint64) (Mark, bool) {
	mark := Mark{int64(b) * layout.BlockSize, layout.BlockSize}
	p := s.at(mark.Offset, layout.BlockSize)
	if p == nil {
		return mark, false
	}
	l, err := layout.DecodeLabel(p)
	switch {
	case err == nil && l.Self != b:
		return mark, false // of a store that begins elsewhere
	case err == nil:
		st.LabelsFound++
		if st.ID == "" {
			st.ID, st.Text, st.Role, st.Index, st.Bytes = l.FSID.String(), l.Text, l.Role.String(), int(l.Index), l.Blocks*layout.BlockSize
			st.DeviceUUID, st.Created = l.DeviceUUID.String(), l.Created
			if !l.Cluster.IsZero() {
				st.Cluster = l.Cluster.String()
			}
		}
		return mark, true
	case errors.Is(err, layout.ErrBadMagic):
		return mark, false
	}
	st.unsound(p, err)
	return mark, true
}

// slot is label for a superblock. What a killed mkfs left is no store.
func (st *Store) slot(s *source, b uint64) (sb layout.Superblock, mark Mark, ok bool) {
	mark = Mark{int64(b) * layout.BlockSize, layout.BlockSize}
	p := s.at(mark.Offset, layout.BlockSize)
	if p == nil {
		return sb, mark, false
	}
	sb, err := layout.DecodeSuperblock(p)
	switch {
	case err == nil && sb.Self.Block() != b:
		return layout.Superblock{}, mark, false // of a store that begins elsewhere
	case err == nil && sb.Flags&layout.SuperFormatting != 0:
		return layout.Superblock{}, mark, false
	case err == nil:
		st.SlotsFound++
		return sb, mark, true
	case errors.Is(err, layout.ErrBadMagic):
		return sb, mark, false
	}
	st.unsound(p, err)
	return layout.Superblock{}, mark, true
}

// unsound notes a mark that does not decode; its id, at 24 in both structures,
// is the best guess there is.
func (st *Store) unsound(p []byte, err error) {
	if errors.Is(err, layout.ErrNewer) || errors.Is(err, layout.ErrFeature) {
		st.Note = "newer format"
	} else if st.Note == "" {
		st.Note = "damaged"
	}
	if st.ID == "" {
		st.ID = layout.UUID(p[24:40]).String()
	}
}

// String describes the store for a refusal: "store 7d1f02aa (osd.3, cluster
// 3f0c9a1e, 1204331 objects, used 2 h ago)".
func (st *Store) String() string { return st.Describe(time.Time{}) }

// Describe is String with the time since the last use as of now.
func (st *Store) Describe(now time.Time) string {
	var facts []string
	if st.OSD >= 0 {
		facts = append(facts, fmt.Sprintf("osd.%d", st.OSD))
	}
	if st.Cluster != "" {
		facts = append(facts, "cluster "+st.Cluster[:8])
	}
	if st.Text != "" {
		facts = append(facts, fmt.Sprintf("%q", st.Text))
	}
	if st.Role == "log" {
		facts = append(facts, "its log device")
	}
	if st.Objects == 1 {
		facts = append(facts, "1 object")
	} else if st.Objects >= 0 {
		facts = append(facts, fmt.Sprintf("%d objects", st.Objects))
	}
	if !st.Written.IsZero() && !now.IsZero() {
		facts = append(facts, "used "+ago(now.Sub(st.Written)))
	}
	if st.Note != "" {
		facts = append(facts, st.Note)
	}
	s := "store " + st.Short()
	for i, f := range facts {
		sep := ", "
		if i == 0 {
			sep = " ("
		}
		s += sep + f
	}
	if facts != nil {
		s += ")"
	}
	return s
}

// ago says how long d is in one unit.
func ago(d time.Duration) string {
	switch {
	case d < time.Minute:
		return "just now"
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h ago", d/time.Hour)
	}
	return fmt.Sprintf("%d days ago", d/(24*time.Hour))
}

// IsStoreID reports whether id can name st in --destroy: at least the first
// eight characters of its id.
func (st *Store) IsStoreID(id string) bool {
	if len(id) < 8 || len(id) > len(st.ID) {
		return false
	}
	if _, err := hex.DecodeString(id[:8]); err != nil {
		return false
	}
	return st.ID[:len(id)] == id
}
