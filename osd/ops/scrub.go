package ops

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/osd"
)

// What can be wrong with a copy of an object, as clients that ask are told.
const (
	CopyStatError     uint64 = 1 << 2
	CopyReadError     uint64 = 1 << 3
	CopyInfoMissing   uint64 = 1 << 14
	CopyInfoCorrupted uint64 = 1 << 15
	CopySizeDiffers   uint64 = 1 << 18 // from what the object's State says

	copyDeep = CopyReadError // found by reading all of it
)

// What can be wrong with the clones of a head, likewise.
const (
	SnapsMissing  uint64 = 1 << 0 // the head has no readable SnapSet
	CloneMissing  uint64 = 1 << 2
	SnapsError    uint64 = 1 << 3 // the SnapSet contradicts itself
	CloneHeadless uint64 = 1 << 5
	CloneSize     uint64 = 1 << 6 // is not what the SnapSet says
	CloneExtra    uint64 = 1 << 9
)

// Damage is what a check has found wrong with one object.
type Damage struct {
	Object  ceph.HObject
	Copy    uint64 // Copy… bits
	Size    uint64
	Version uint64 // the user's
	Snaps   uint64 // Clone… and Snaps… bits; of a head, or a clone without one
	Extra   []ceph.SnapID
	Missing []ceph.SnapID
	Text    []string // a line for each
}

// Deep reports whether it takes a deep check to find it.
func (d *Damage) Deep() bool { return d.Copy&copyDeep != 0 }

func (d *Damage) copy(bit uint64, format string, args ...any) {
	d.Copy |= bit
	d.Text = append(d.Text, fmt.Sprintf(format, args...))
}

func (d *Damage) snaps(bit uint64, format string, args ...any) {
	d.Snaps |= bit
	d.Text = append(d.Text, fmt.Sprintf(format, args...))
}

// Check is how objects are checked, and what came of it.
type Check struct {
	Env  *Env
	Deep bool // read every byte, from the device
	// Pace is told before bytes are read, and waits if that is too fast.
	Pace func(ctx context.Context, bytes int) error

	Damaged []Damage
	Sum     Delta // what the heads say there is
	Unknown bool  // some head did not say
	buf     []byte
}

// checkPiece is how much of an object is read at once.
const checkPiece = 1 << 20

// Object checks a head with its clones, or clones without one. Nobody may change
// them meanwhile. An error is the context's: damage is no error.
func (c *Check) Object(ctx context.Context, head ceph.HObject) error {
	names, err := c.family(ctx, head)
	if err != nil {
		return err
	}
	var st *State
	found := make([]Damage, len(names))
	sizes := map[ceph.SnapID]uint64{}
	for i, n := range names {
		found[i].Object = n
		s, err := c.one(ctx, n, &found[i])
		if err != nil {
			return err
		}
		sizes[n.Snap] = found[i].Size
		if n.Snap == ceph.NoSnap {
			if st = s; st == nil {
				c.Unknown = true
				found[i].snaps(SnapsMissing, "no readable snapset")
			}
		}
	}
	switch last := len(names) - 1; {
	case last < 0: // it went
	case names[last].Snap != ceph.NoSnap:
		for i := range found {
			found[i].snaps(CloneHeadless, "clone without a head")
		}
	case st != nil:
		c.Sum.count(st, 1)
		c.clones(&found[last], st, sizes)
	}
	for _, d := range found {
		if d.Copy|d.Snaps != 0 {
			c.Damaged = append(c.Damaged, d)
		}
	}
	return nil
}

// family lists what there is of an object: clones, then the head.
func (c *Check) family(ctx context.Context, head ceph.HObject) (names []ceph.HObject, err error) {
	first := head
	first.Snap = 0
	start, end := Key(first), Key(head)
	start.Generation = 0
	end.Snap++ // behind the head
	for from := &start; from != nil; {
		ids, next, err := c.Env.Store.List(ctx, c.Env.Coll, from, &end, MaxListEntries)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			names = append(names, HObject(id))
		}
		from = next
	}
	return names, nil
}

// one checks an object by itself and returns its State, if that can be read.
func (c *Check) one(ctx context.Context, name ceph.HObject, d *Damage) (*State, error) {
	s, coll, key := c.Env.Store, c.Env.Coll, Key(name)
	if err := c.pace(ctx, 4096); err != nil {
		return nil, err
	}
	var st *State
	switch p, err := s.Attr(ctx, coll, key, StateAttr); {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, osd.ErrNoAttr):
		d.copy(CopyInfoMissing, "no object info")
	case err != nil:
		d.copy(CopyInfoCorrupted, "object info cannot be read: %v", err)
	default:
		if st, err = DecodeState(p); err != nil {
			st = nil
			d.copy(CopyInfoCorrupted, "object info: %v", err)
		}
	}
	stat, err := s.Stat(ctx, coll, key)
	if err != nil {
		d.copy(CopyStatError, "stat: %v", err)
	} else if d.Size = stat.SizeBytes; st != nil && st.Size != stat.SizeBytes {
		d.copy(CopySizeDiffers, "on disk size (%d) does not match object info size (%d) adjusted for ondisk to (%d)", stat.SizeBytes, st.Size, st.Size)
	}
	if st != nil {
		d.Version = st.UserVersion
	}
	if _, err := s.Attrs(ctx, coll, key); err != nil {
		d.copy(CopyReadError, "attrs cannot be read: %v", err)
	}
	if c.Deep {
		c.data(ctx, key, d)
		c.omap(ctx, key, d)
	}
	return st, ctx.Err()
}

// data reads all of an object, from the device if the store tells that apart.
func (c *Check) data(ctx context.Context, key osd.ObjectID, d *Damage) {
	read := c.Env.Store.Read
	if past, ok := c.Env.Store.(osd.PastReader); ok {
		read = past.ReadPast
	}
	if c.buf == nil {
		c.buf = make([]byte, checkPiece)
	}
	for off := uint64(0); off < d.Size; off += checkPiece {
		n := min(checkPiece, d.Size-off)
		if c.pace(ctx, int(n)) != nil {
			return
		}
		if _, err := read(ctx, c.Env.Coll, key, off, c.buf[:n]); err != nil {
			d.copy(CopyReadError, "read error: %v", err)
			return
		}
	}
}

// omap reads the whole map.
func (c *Check) omap(ctx context.Context, key osd.ObjectID, d *Damage) {
	_, err := c.Env.Store.OmapHeader(ctx, c.Env.Coll, key)
	bytes := 0
	if err == nil {
		err = c.Env.Store.OmapIter(ctx, c.Env.Coll, key, "", "", func(k string, v []byte) bool {
			if bytes += len(k) + len(v); bytes >= checkPiece {
				if c.pace(ctx, bytes) != nil {
					return false
				}
				bytes = 0
			}
			return true
		})
	}
	if err != nil {
		d.copy(CopyReadError, "omap cannot be read: %v", err)
	}
}

func (c *Check) pace(ctx context.Context, bytes int) error {
	if c.Pace != nil {
		return c.Pace(ctx, bytes)
	}
	return ctx.Err()
}

// clones holds a SnapSet against the clones that are there, by their sizes.
func (c *Check) clones(d *Damage, st *State, sizes map[ceph.SnapID]uint64) {
	last := ceph.SnapID(0)
	for _, k := range st.Clones {
		if k.ID <= last || k.ID > st.Seq || !slices.IsSortedFunc(k.Snaps, func(a, b ceph.SnapID) int { return cmp.Compare(b, a) }) {
			d.snaps(SnapsError, "snapset: clone %v behind %v, seq %v, snaps %v", k.ID, last, st.Seq, k.Snaps)
		}
		last = k.ID
		for _, x := range k.Overlap {
			if x.Off+x.Len > k.Size {
				d.snaps(SnapsError, "snapset: overlap %d~%d of clone %v of %d bytes", x.Off, x.Len, k.ID, k.Size)
				break
			}
		}
		size, ok := sizes[k.ID]
		switch {
		case !ok:
			d.snaps(CloneMissing, "expected clone %v is missing", k.ID)
			d.Missing = append(d.Missing, k.ID)
		case size != k.Size:
			d.snaps(CloneSize, "clone %v has %d bytes, snapset says %d", k.ID, size, k.Size)
		}
		delete(sizes, k.ID)
	}
	delete(sizes, ceph.NoSnap)
	for id := range sizes {
		d.Extra = append(d.Extra, id)
	}
	slices.Sort(d.Extra)
	for _, id := range d.Extra {
		d.snaps(CloneExtra, "clone %v is not in the snapset", id)
	}
}
