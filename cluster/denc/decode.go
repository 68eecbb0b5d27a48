package denc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

var (
	// ErrMalformed is wrapped by every error about input that cannot be what it
	// claims to be: too short, a count beyond its bytes, a value out of range.
	ErrMalformed = errors.New("malformed encoding")

	// ErrIncompatible is wrapped when a struct asks for a decoder newer than ours.
	ErrIncompatible = errors.New("encoding is too new")
)

// maxDepth bounds how deep structs lie in each other. Ceph's deepest, a map in
// a message in a frame, needs fewer than ten.
const maxDepth = 64

// Decoder takes values off a byte slice. The zero value is one of no bytes. It
// does not copy: Bytes and Raw return parts of the input.
type Decoder struct {
	p     []byte // the whole input
	off   int
	end   int // of the innermost struct
	depth int
	err   error
}

// NewDecoder returns a decoder of all of p.
func NewDecoder(p []byte) *Decoder { return &Decoder{p: p, end: len(p)} }

// Err returns the first error, nil if there was none.
func (d *Decoder) Err() error { return d.err }

// Left returns how many bytes of the innermost struct, or of the input, have not
// been read.
func (d *Decoder) Left() int { return d.end - d.off }

// Offset returns how many bytes of the input have been read.
func (d *Decoder) Offset() int { return d.off }

// Finish returns the first error; bytes that are left are one.
func (d *Decoder) Finish() error {
	if d.err == nil && d.Left() != 0 {
		d.Failf("%d bytes left over", d.Left())
	}
	return d.err
}

// Failf makes the decoder fail unless it has already, with an error that wraps
// ErrMalformed and says where.
func (d *Decoder) Failf(format string, args ...any) {
	d.fail(ErrMalformed, format, args...)
}

func (d *Decoder) fail(kind error, format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("byte %d: %s: %w", d.off, fmt.Sprintf(format, args...), kind)
	}
	d.off = d.end // whoever loops on Left ends
}

// Raw returns the next n bytes, nil after an error. The slice is part of the
// input and has no room to grow into the rest of it.
func (d *Decoder) Raw(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > d.end-d.off {
		d.Failf("%d bytes wanted, %d there", n, d.end-d.off)
		return nil
	}
	p := d.p[d.off : d.off+n : d.off+n]
	d.off += n
	return p
}

// Skip passes over n bytes.
func (d *Decoder) Skip(n int) { d.Raw(n) }

// U8 reads an unsigned byte.
func (d *Decoder) U8() uint8 {
	if p := d.Raw(1); p != nil {
		return p[0]
	}
	return 0
}

// U16 reads two bytes.
func (d *Decoder) U16() uint16 {
	if p := d.Raw(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

// U32 reads four bytes.
func (d *Decoder) U32() uint32 {
	if p := d.Raw(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// U64 reads eight bytes.
func (d *Decoder) U64() uint64 {
	if p := d.Raw(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// I8 reads a signed byte.
func (d *Decoder) I8() int8 { return int8(d.U8()) }

// I16 reads two bytes, signed.
func (d *Decoder) I16() int16 { return int16(d.U16()) }

// I32 reads four bytes, signed.
func (d *Decoder) I32() int32 { return int32(d.U32()) }

// I64 reads eight bytes, signed.
func (d *Decoder) I64() int64 { return int64(d.U64()) }

// F32 reads a four-byte float.
func (d *Decoder) F32() float32 { return math.Float32frombits(d.U32()) }

// F64 reads an eight-byte float.
func (d *Decoder) F64() float64 { return math.Float64frombits(d.U64()) }

// Bool reads a byte that must be 0 or 1, so that what is decoded encodes to the
// same bytes again.
func (d *Decoder) Bool() bool {
	v := d.U8()
	if v > 1 {
		d.Failf("bool of value %d", v)
	}
	return v == 1
}

// Bytes reads a length and that many bytes; they are part of the input. An empty
// one is nil.
func (d *Decoder) Bytes() []byte {
	n := d.Count(1)
	if n == 0 {
		return nil
	}
	return d.Raw(n)
}

// Str reads a string: a length and that many bytes of any value.
func (d *Decoder) Str() string { return string(d.Bytes()) }

// Count reads the number of elements of a container, each of which takes at
// least least bytes (1 or more). A number that cannot be there is an error.
func (d *Decoder) Count(least int) int {
	n := d.U32()
	if d.err != nil {
		return 0
	}
	if uint64(n)*uint64(max(least, 1)) > uint64(d.Left()) {
		d.Failf("%d elements of %d bytes or more, %d bytes there", n, least, d.Left())
		return 0
	}
	return int(n)
}

// Struct is a versioned struct being decoded.
type Struct struct {
	Version uint8 // of the writer
	after   int   // offset behind it
	end     int   // of the struct around it
	ok      bool
}

// Begin reads the header of a versioned struct. know is the newest version this
// decoder understands: a writer that demands a newer one is an error. Reads are
// held within the struct until End.
func (d *Decoder) Begin(know uint8) Struct {
	v, compat, n := d.U8(), d.U8(), d.Count(1)
	s := Struct{Version: v, end: d.end}
	switch {
	case d.err != nil:
		return s
	case compat > know:
		d.fail(ErrIncompatible, "struct version %d needs a decoder of %d, this one is of %d", v, compat, know)
		return s
	case d.depth >= maxDepth:
		d.Failf("structs are %d deep", d.depth)
		return s
	}
	s.after, s.ok = d.off+n, true
	d.end = s.after
	d.depth++
	return s
}

// End skips what a newer writer appended and returns to the struct around.
func (d *Decoder) End(s Struct) {
	if !s.ok {
		return
	}
	d.end = s.end
	d.depth--
	d.off = s.after
	if d.err != nil {
		d.off = d.end
	}
}

// Opaque returns a whole versioned struct, header included, without looking into it.
func (d *Decoder) Opaque() []byte {
	from := d.off
	d.Skip(2)
	d.Skip(d.Count(1))
	if d.err != nil {
		return nil
	}
	return d.p[from:d.off:d.off]
}

// Slice reads a count and that many elements, each of at least least bytes, by
// elem. No elements give nil.
func Slice[T any](d *Decoder, least int, elem func(*Decoder) T) []T {
	n := d.Count(least)
	if n == 0 {
		return nil
	}
	out := make([]T, 0, min(n, 1+d.Left()/max(least, 1)))
	for range n {
		out = append(out, elem(d))
		if d.err != nil {
			return nil
		}
	}
	return out
}

// Map reads a count and that many pairs, each of at least least bytes. A key that
// comes twice is an error, as it could not be encoded again. No pairs give nil.
func Map[K comparable, V any](d *Decoder, least int, key func(*Decoder) K, value func(*Decoder) V) map[K]V {
	n := d.Count(least)
	if n == 0 {
		return nil
	}
	out := make(map[K]V, n)
	for range n {
		k := key(d)
		v := value(d)
		if d.err != nil {
			return nil
		}
		if _, twice := out[k]; twice {
			d.Failf("key %v twice", k)
			return nil
		}
		out[k] = v
	}
	return out
}
