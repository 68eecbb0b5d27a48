package pgfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"ebofs/cluster/denc"
	"ebofs/osd"
)

// kind of a record.
type kind uint8

// The kinds. What follows an object is part of it, up to the next object.
const (
	objectRecord kind = 1 // an object's id and size
	attrsRecord  kind = 2 // some of its attributes
	dataRecord   kind = 3 // bytes at an offset; all others are zero
	headerRecord kind = 4 // the header of its omap
	omapRecord   kind = 5 // some keys of its omap, ascending
	endRecord    kind = 6 // the number of objects and of bytes
)

const (
	recordHeader = 24
	// MaxRecord is the longest content of a record: an omap value or attribute that
	// a client can write in one request, which is at most 90 MiB.
	MaxRecord = 128 << 20
	// pieceBytes is how long a record is where it can be cut: the store reads and
	// writes so much in one go.
	pieceBytes = 1 << 20
)

// recordWriter writes records.
//
//	off len field   little-endian
//	  0   1 kind
//	  1   3 zero
//	  4   4 length  of the content
//	  8   8 number  0 for the first record
//	 16   4 zero
//	 20   4 crc     CRC-32C of [0:20) and the content
//	 24     content, in Ceph's encoding of scalars and strings
type recordWriter struct {
	w      io.Writer
	number uint64
	bytes  int64
}

func (w *recordWriter) write(k kind, content []byte) error {
	if len(content) > MaxRecord {
		return fmt.Errorf("%d bytes in one value: %w", len(content), osd.ErrTooLarge)
	}
	var h [recordHeader]byte
	h[0] = byte(k)
	le.PutUint32(h[4:], uint32(len(content)))
	le.PutUint64(h[8:], w.number)
	le.PutUint32(h[20:], crc32.Update(crc(h[:20]), castagnoli, content))
	w.number++
	w.bytes += recordHeader + int64(len(content))
	if _, err := w.w.Write(h[:]); err != nil {
		return err
	}
	_, err := w.w.Write(content)
	return err
}

// recordReader reads records.
type recordReader struct {
	r      *bufio.Reader
	number uint64
	buf    bytes.Buffer
}

// next returns a record, whose content is valid until the next.
func (r *recordReader) next() (kind, *denc.Decoder, error) {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("record %d: %s: %w", r.number, fmt.Sprintf(format, args...), ErrCorrupt)
	}
	var h [recordHeader]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return 0, nil, cut(err, bad)
	}
	n := le.Uint32(h[4:])
	switch {
	case le.Uint64(h[8:]) != r.number:
		return 0, nil, bad("number %d is not its", le.Uint64(h[8:]))
	case n > MaxRecord:
		return 0, nil, bad("%d bytes", n)
	}
	// Memory comes with the bytes, not with the length they claim.
	r.buf.Reset()
	if _, err := io.CopyN(&r.buf, r.r, int64(n)); err != nil {
		return 0, nil, cut(err, bad)
	}
	if got, want := crc32.Update(crc(h[:20]), castagnoli, r.buf.Bytes()), le.Uint32(h[20:]); got != want {
		return 0, nil, bad("crc %08x, want %08x", got, want)
	}
	r.number++
	return kind(h[0]), denc.NewDecoder(r.buf.Bytes()), nil
}

// cut says of a file that ends too early that it is cut off.
func cut(err error, bad func(string, ...any) error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("cut off")
	}
	return err
}

func encodeID(e *denc.Encoder, o *osd.ObjectID) {
	e.I8(o.Shard)
	e.I64(o.Pool)
	e.U32(o.Hash)
	e.Str(o.Namespace)
	e.Str(o.Key)
	e.Str(o.Name)
	e.U64(o.Snap)
	e.U64(o.Generation)
}

func decodeID(d *denc.Decoder) (o osd.ObjectID) {
	o.Shard, o.Pool, o.Hash = d.I8(), d.I64(), d.U32()
	o.Namespace, o.Key, o.Name = d.Str(), d.Str(), d.Str()
	o.Snap, o.Generation = d.U64(), d.U64()
	return o
}
