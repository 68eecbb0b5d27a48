package history

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"

	"ebofs/osd"
)

// Reader is the part of osd.ObjectStore that a picture is drawn from.
type Reader interface {
	Collections(ctx context.Context) ([]osd.CollectionID, error)
	Collection(ctx context.Context, c osd.CollectionID) (osd.CollectionSpec, error)
	List(ctx context.Context, c osd.CollectionID, start, end *osd.ObjectID, max int) ([]osd.ObjectID, *osd.ObjectID, error)
	Stat(ctx context.Context, c osd.CollectionID, o osd.ObjectID) (osd.ObjectStat, error)
	Fiemap(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off, n uint64) ([]osd.Extent, error)
	Read(ctx context.Context, c osd.CollectionID, o osd.ObjectID, off uint64, p []byte) (int, error)
	Attrs(ctx context.Context, c osd.CollectionID, o osd.ObjectID) (map[string][]byte, error)
	OmapHeader(ctx context.Context, c osd.CollectionID, o osd.ObjectID) ([]byte, error)
	OmapIter(ctx context.Context, c osd.CollectionID, o osd.ObjectID, first, last string, fn func(k string, v []byte) bool) error
}

// Picture is the contents of a store. It is never changed once drawn, so
// pictures of neighbouring steps share what did not change.
type Picture map[osd.CollectionID]*Collection

// Collection is one collection of a Picture.
type Collection struct {
	Spec    osd.CollectionSpec
	Objects map[osd.ObjectID]Object
}

// Object is one object of a Picture: its size in bytes, a checksum of its attrs,
// omap and omap header, and one of its data.
type Object struct {
	Size, Meta, Data uint64
	// NoData says that Data was not drawn (see Options.SkipData); then it is not
	// compared.
	NoData bool
}

// same reports whether a and b may be the same object.
func (a Object) same(b Object) bool {
	return a.Size == b.Size && a.Meta == b.Meta && (a.NoData || b.NoData || a.Data == b.Data)
}

// same reports whether c and d may be the same collection; either may be nil.
func (c *Collection) same(d *Collection) bool {
	if c == nil || d == nil {
		return c == d
	}
	return c == d || c.Spec == d.Spec && maps.EqualFunc(c.Objects, d.Objects, Object.same)
}

// Options say how a picture is drawn; the zero value draws everything.
type Options struct {
	// SkipData, if set, says for which collections data is not read: the ballast
	// of a nearly full store, which one look in many is enough for.
	SkipData func(c osd.CollectionID) bool
	// Buffer is reused for reading; nil: one is made.
	Buffer []byte
}

// bufferBytes is what is read at once: large enough that calls do not count,
// small enough to stay in the second-level cache.
const bufferBytes = 256 << 10

// sparseBytes is the size from which on holes are skipped by Fiemap rather than
// read: below, reading zeros is cheaper than asking, and checks more.
const sparseBytes = 4 << 20

// Draw returns the contents of s. An error names the object.
func Draw(ctx context.Context, s Reader, o Options) (Picture, error) {
	if len(o.Buffer) < bufferBytes {
		o.Buffer = make([]byte, bufferBytes)
	}
	ids, err := s.Collections(ctx)
	if err != nil {
		return nil, fmt.Errorf("collections: %w", err)
	}
	p := Picture{}
	for _, id := range ids {
		c := &Collection{Objects: map[osd.ObjectID]Object{}}
		if c.Spec, err = s.Collection(ctx, id); err != nil {
			return nil, fmt.Errorf("collection %q: %w", id, err)
		}
		for start := (*osd.ObjectID)(nil); ; {
			page, next, err := s.List(ctx, id, start, nil, 64)
			if err != nil {
				return nil, fmt.Errorf("collection %q: list: %w", id, err)
			}
			for _, obj := range page {
				if _, twice := c.Objects[obj]; twice {
					return nil, fmt.Errorf("collection %q: object %v is listed twice", id, obj)
				}
				if c.Objects[obj], err = DrawObject(ctx, s, id, obj, o); err != nil {
					return nil, fmt.Errorf("collection %q: object %v: %w", id, obj, err)
				}
			}
			if next == nil {
				break
			}
			if start != nil && next.Compare(*start) <= 0 {
				return nil, fmt.Errorf("collection %q: list goes from %v back to %v", id, *start, *next)
			}
			start = next
		}
		p[id] = c
	}
	return p, nil
}

// seed of all checksums of this process.
var seed = maphash.MakeSeed()

// DrawObject returns one object as Draw does. An error may also mean that it is
// not there.
func DrawObject(ctx context.Context, s Reader, c osd.CollectionID, id osd.ObjectID, o Options) (Object, error) {
	st, err := s.Stat(ctx, c, id)
	if err != nil {
		return Object{}, fmt.Errorf("stat: %w", err)
	}
	obj := Object{Size: st.SizeBytes}
	if obj.Meta, err = metaSum(ctx, s, c, id); err != nil {
		return obj, err
	}
	if o.SkipData != nil && o.SkipData(c) {
		obj.NoData = true
		return obj, nil
	}
	ranges := []osd.Extent{{Off: 0, Len: obj.Size}}
	if obj.Size > sparseBytes {
		if ranges, err = s.Fiemap(ctx, c, id, 0, obj.Size); err != nil {
			return obj, fmt.Errorf("fiemap: %w", err)
		}
	}
	d := dataSum{}
	for _, r := range ranges {
		// Whole pages, so that a page that two extents share is summed once.
		for off, end := max(r.Off&^(pageBytes-1), d.next), r.Off+r.Len; off < end; {
			want := min(uint64(len(o.Buffer)), obj.Size-off, (end-off+pageBytes-1)&^(pageBytes-1))
			n, err := s.Read(ctx, c, id, off, o.Buffer[:want])
			if err != nil {
				return obj, fmt.Errorf("read %d~%d: %w", off, want, err)
			}
			if uint64(n) != want {
				return obj, fmt.Errorf("read %d~%d of %d bytes returned %d", off, want, obj.Size, n)
			}
			d.add(off, o.Buffer[:n])
			off += want
		}
	}
	obj.Data = d.sum
	return obj, nil
}

// metaSum returns the checksum of what the object has beside data.
func metaSum(ctx context.Context, s Reader, c osd.CollectionID, id osd.ObjectID) (uint64, error) {
	var h maphash.Hash
	h.SetSeed(seed)
	put := func(k string, v []byte) {
		maphash.WriteComparable(&h, len(k))
		h.WriteString(k)
		maphash.WriteComparable(&h, len(v))
		h.Write(v)
	}
	attrs, err := s.Attrs(ctx, c, id)
	if err != nil {
		return 0, fmt.Errorf("attrs: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		put(k, attrs[k])
	}
	header, err := s.OmapHeader(ctx, c, id)
	if err != nil {
		return 0, fmt.Errorf("omap header: %w", err)
	}
	put("", header)
	last, any, sorted := "", false, true
	err = s.OmapIter(ctx, c, id, "", "", func(k string, v []byte) bool {
		sorted = sorted && (!any || k > last)
		last, any = k, true
		put(k, v)
		return sorted
	})
	if err == nil && !sorted {
		err = fmt.Errorf("keys out of order at %q", last)
	}
	if err != nil {
		return 0, fmt.Errorf("omap: %w", err)
	}
	return h.Sum64(), nil
}

const pageBytes = 4096

// dataSum is the checksum of an object's data: the exclusive or of its pages',
// each mixed with its place. Pages of zeros count nothing, so holes and written
// zeros are equal, as they are to a reader.
type dataSum struct {
	sum  uint64
	next uint64 // bytes up to here are summed
}

// add sums p at byte off, which is a multiple of pageBytes.
func (d *dataSum) add(off uint64, p []byte) {
	for len(p) > 0 {
		n := min(len(p), pageBytes)
		if !allZero(p[:n]) {
			d.sum ^= maphash.Bytes(seed, p[:n]) * (2*(off/pageBytes) + 0x9e3779b97f4a7c15)
		}
		p = p[n:]
		off += pageBytes
	}
	d.next = off
}

var zeros [pageBytes]byte

func allZero(p []byte) bool { return bytes.Equal(p, zeros[:len(p)]) }
