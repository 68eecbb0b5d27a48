package pgfile

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"ebofs/cluster/denc"
	"ebofs/osd"
	"ebofs/osd/pg"
)

// Summary is what a file holds.
type Summary struct {
	Objects int64 // clones, and the one with the PG's log, included
	Bytes   int64 // of their data, holes left out
	File    int64 // length of the file
}

// Progress is told how many objects and bytes are done; nil: nobody is.
type Progress func(objects, bytes int64)

// exporter is one run of Export.
type exporter struct {
	s        osd.ObjectStore
	coll     osd.CollectionID
	w        recordWriter
	sum      Summary
	progress Progress
	buf      []byte
}

// Export writes the PG that h names into w. Bits of h is filled in.
func Export(ctx context.Context, s osd.ObjectStore, h Header, w io.Writer, p Progress) (Summary, error) {
	x := &exporter{s: s, coll: pg.Collection(h.PG), w: recordWriter{w: w}, progress: p, buf: make([]byte, pieceBytes)}
	spec, err := s.Collection(ctx, x.coll)
	if err != nil {
		return x.sum, fmt.Errorf("pg %v: %w", h.PG, err)
	}
	h.Bits = spec.Bits
	if _, err := w.Write(h.encode()); err != nil {
		return x.sum, err
	}
	for from := (*osd.ObjectID)(nil); ; {
		ids, next, err := s.List(ctx, x.coll, from, nil, 1000)
		if err != nil {
			return x.sum, err
		}
		for i := range ids {
			if ids[i].Pool != spec.Pool {
				continue // half made by a request that never was committed
			}
			if err := x.object(ctx, ids[i]); err != nil {
				return x.sum, fmt.Errorf("object %q: %w", ids[i].Name, err)
			}
		}
		if next == nil {
			break
		}
		from = next
	}
	var e denc.Encoder
	e.U64(uint64(x.sum.Objects))
	e.U64(uint64(x.sum.Bytes))
	err = x.w.write(endRecord, e.Bytes())
	x.sum.File = headerBytes + x.w.bytes
	return x.sum, err
}

// object writes one object.
func (x *exporter) object(ctx context.Context, id osd.ObjectID) error {
	st, err := x.s.Stat(ctx, x.coll, id)
	if err != nil {
		return err
	}
	var e denc.Encoder
	encodeID(&e, &id)
	e.U64(st.SizeBytes)
	if err := x.w.write(objectRecord, e.Bytes()); err != nil {
		return err
	}
	attrs, err := x.s.Attrs(ctx, x.coll, id)
	if err != nil {
		return err
	}
	pairs := pairWriter{w: &x.w, kind: attrsRecord}
	for _, k := range slices.Sorted(maps.Keys(attrs)) {
		pairs.add(k, attrs[k])
	}
	if err := pairs.flush(); err != nil {
		return err
	}
	if err := x.data(ctx, id, st.SizeBytes); err != nil {
		return err
	}
	header, err := x.s.OmapHeader(ctx, x.coll, id)
	if err != nil {
		return err
	}
	if len(header) > 0 {
		if err := x.w.write(headerRecord, header); err != nil {
			return err
		}
	}
	pairs = pairWriter{w: &x.w, kind: omapRecord}
	err = x.s.OmapIter(ctx, x.coll, id, "", "", func(k string, v []byte) bool {
		pairs.add(k, v)
		return pairs.err == nil && ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	if err == nil {
		err = pairs.flush()
	}
	x.sum.Objects++
	if x.progress != nil {
		x.progress(1, 0)
	}
	return err
}

// data writes what of an object is no hole.
func (x *exporter) data(ctx context.Context, id osd.ObjectID, size uint64) error {
	extents, err := x.s.Fiemap(ctx, x.coll, id, 0, size)
	if err != nil {
		return err
	}
	for _, ext := range extents {
		for end := ext.Off + ext.Len; ext.Off < end; {
			n, err := x.s.Read(ctx, x.coll, id, ext.Off, x.buf[:min(end-ext.Off, pieceBytes)])
			if err != nil {
				return err
			}
			if n == 0 {
				return fmt.Errorf("ends at byte %d of %d: %w", ext.Off, size, osd.ErrCorrupt)
			}
			e := denc.NewEncoder(make([]byte, 0, 8+n))
			e.U64(ext.Off)
			e.Raw(x.buf[:n])
			if err := x.w.write(dataRecord, e.Bytes()); err != nil {
				return err
			}
			ext.Off += uint64(n)
			x.sum.Bytes += int64(n)
			if x.progress != nil {
				x.progress(0, int64(n))
			}
		}
	}
	return nil
}

// pairWriter gathers keys and values into records.
type pairWriter struct {
	w    *recordWriter
	kind kind
	e    denc.Encoder
	err  error
}

func (p *pairWriter) add(k string, v []byte) {
	if p.e.Len() > 0 && p.e.Len()+len(k)+len(v)+8 > pieceBytes {
		p.flush()
	}
	p.e.Str(k)
	p.e.Blob(v)
}

func (p *pairWriter) flush() error {
	if p.err == nil && p.e.Len() > 0 {
		p.err = p.w.write(p.kind, p.e.Bytes())
	}
	p.e.Reset()
	return p.err
}
