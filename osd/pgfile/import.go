package pgfile

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd"
	"ebofs/osd/pg"
)

// Why a store does not take a file.
var (
	ErrCluster = errors.New("of another cluster")
	ErrExists  = errors.New("there is such a placement group already")
	ErrOverlap = errors.New("a placement group of the store holds some of its objects' places")
)

// Reader reads a file, the header first.
type Reader struct {
	Header Header
	r      recordReader
}

// NewReader reads the header.
func NewReader(r io.Reader) (*Reader, error) {
	b := bufio.NewReaderSize(r, 256<<10)
	p := make([]byte, headerBytes)
	if _, err := io.ReadFull(b, p); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, ErrNoFile
	} else if err != nil {
		return nil, err
	}
	h, err := decodeHeader(p)
	return &Reader{Header: h, r: recordReader{r: b}}, err
}

// importer is one run of Import.
type importer struct {
	s    osd.ObjectStore
	coll osd.CollectionID
	spec osd.CollectionSpec

	t     osd.Transaction
	bytes int // in t

	open     bool // an object is
	id       osd.ObjectID
	size     uint64
	sum      Summary
	progress Progress
}

// Import makes the PG of the file in a store of the cluster. An error leaves
// nothing of it; a store that has failed keeps what can be removed later.
func Import(ctx context.Context, s osd.ObjectStore, cluster ceph.UUID, r *Reader, p Progress) (sum Summary, err error) {
	h := &r.Header
	if h.Cluster != cluster {
		return sum, fmt.Errorf("pg %v of cluster %v, the store's is %v: %w", h.PG, h.Cluster, cluster, ErrCluster)
	}
	if err := room(ctx, s, h); err != nil {
		return sum, err
	}
	x := &importer{s: s, coll: pg.CollectionIn(h.PG, pg.Importing), spec: h.spec(), progress: p}
	x.t.MkColl(x.coll, x.spec)
	if err := x.apply(ctx); err != nil {
		return sum, err
	}
	defer func() {
		if err != nil {
			// What stops us does not stop this.
			err = errors.Join(err, pg.Remove(context.WithoutCancel(ctx), s, h.PG, pg.Importing, func(int) {}))
		}
	}()
	if err := x.records(ctx, &r.r); err != nil {
		return sum, err
	}
	if _, err := pg.ReadStored(ctx, s, x.coll, h.PG); err != nil {
		return sum, fmt.Errorf("what the pg says of itself: %w: %w", err, ErrCorrupt)
	}
	if err := ctx.Err(); err != nil {
		return sum, err
	}
	x.t.RenameColl(x.coll, pg.Collection(h.PG))
	return x.sum, x.apply(ctx)
}

// room makes sure that the PG can be made, and removes what an interrupted import
// of it has left.
func room(ctx context.Context, s osd.ObjectStore, h *Header) error {
	all, err := s.Collections(ctx)
	if err != nil {
		return err
	}
	for _, c := range all {
		other, phase, ok := pg.ParseCollection(c)
		if ok && other == h.PG && phase == pg.Whole {
			return fmt.Errorf("pg %v: %w", other, ErrExists)
		}
		if ok && other == h.PG {
			if err := pg.Remove(ctx, s, other, phase, func(int) {}); err != nil {
				return err
			}
			continue
		}
		spec, err := s.Collection(ctx, c)
		if err != nil {
			return err
		}
		if spec.Overlaps(h.spec()) {
			return fmt.Errorf("pg %v, collection %s: %w", h.PG, c, ErrOverlap)
		}
	}
	return nil
}

// records takes all records, the end included.
func (x *importer) records(ctx context.Context, r *recordReader) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		number := r.number
		k, d, err := r.next()
		if err != nil {
			return err
		}
		if x.bytes+d.Left() > pieceBytes {
			if err := x.apply(ctx); err != nil {
				return err
			}
		}
		ended, err := x.record(k, d)
		if errors.Is(err, denc.ErrMalformed) {
			err = fmt.Errorf("%w: %w", err, ErrCorrupt)
		}
		if err != nil {
			return fmt.Errorf("record %d: %w", number, err)
		}
		if !ended {
			continue
		}
		if _, err := r.r.ReadByte(); err != io.EOF {
			return errors.Join(err, fmt.Errorf("there is more behind its end: %w", ErrCorrupt))
		}
		return x.apply(ctx)
	}
}

// record takes one record; ended: it was the last.
func (x *importer) record(k kind, d *denc.Decoder) (ended bool, err error) {
	switch {
	case k == objectRecord:
		x.finish()
		x.id, x.size = decodeID(d), d.U64()
		if err := d.Finish(); err != nil {
			return false, err
		}
		if !x.spec.Contains(x.id) || x.id.Pool != x.spec.Pool || x.size > osd.MaxObjectBytes {
			return false, fmt.Errorf("object %v of %d bytes is none of the pg: %w", x.id, x.size, ErrCorrupt)
		}
		x.open = true
		x.t.Touch(x.coll, x.id)
		x.bytes += 256
		x.sum.Objects++
		if x.progress != nil {
			x.progress(1, 0)
		}
	case k == endRecord:
		x.finish()
		objects, n := d.U64(), d.U64()
		if err := d.Finish(); err != nil {
			return false, err
		}
		if objects != uint64(x.sum.Objects) || n != uint64(x.sum.Bytes) {
			return false, fmt.Errorf("%d objects of %d bytes, the end says %d of %d: %w", x.sum.Objects, x.sum.Bytes, objects, n, ErrCorrupt)
		}
		return true, nil
	case !x.open:
		return false, fmt.Errorf("kind %d without an object: %w", k, ErrCorrupt)
	default:
		return false, x.part(k, d)
	}
	return false, nil
}

// part takes what belongs to the open object.
func (x *importer) part(k kind, d *denc.Decoder) error {
	n := d.Left()
	switch k {
	case dataRecord:
		off := d.U64()
		p := append([]byte(nil), d.Raw(d.Left())...)
		if err := d.Err(); err != nil {
			return err
		}
		if off > x.size || uint64(len(p)) > x.size-off {
			return fmt.Errorf("bytes %d~%d of an object of %d: %w", off, len(p), x.size, ErrCorrupt)
		}
		x.t.Write(x.coll, x.id, off, p)
		x.sum.Bytes += int64(len(p))
		if x.progress != nil {
			x.progress(0, int64(len(p)))
		}
	case headerRecord:
		x.t.OmapSetHeader(x.coll, x.id, append([]byte(nil), d.Raw(n)...))
	case attrsRecord, omapRecord:
		kv := map[string][]byte{}
		for d.Left() > 0 && d.Err() == nil {
			key := d.Str()
			kv[key] = append([]byte{}, d.Bytes()...)
		}
		if err := d.Finish(); err != nil {
			return err
		}
		if k == attrsRecord {
			x.t.SetAttrs(x.coll, x.id, kv)
		} else {
			x.t.OmapSet(x.coll, x.id, kv)
		}
	default:
		return fmt.Errorf("kind %d is not known: %w", k, ErrCorrupt)
	}
	x.bytes += n
	return nil
}

// finish ends the open object.
func (x *importer) finish() {
	if x.open {
		x.t.Truncate(x.coll, x.id, x.size)
	}
	x.open = false
}

// apply commits what has been gathered. It is not interrupted, so that afterwards
// one knows what is there.
func (x *importer) apply(ctx context.Context) error {
	if x.t.Len() == 0 {
		return nil
	}
	err := osd.Apply(context.WithoutCancel(ctx), x.s, &x.t)
	x.t, x.bytes = osd.Transaction{}, 0
	return err
}
