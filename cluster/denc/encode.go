package denc

import (
	"cmp"
	"encoding/binary"
	"maps"
	"math"
	"slices"
)

// Encoder appends values to a buffer. The zero value is ready to use.
type Encoder struct {
	buf []byte
}

// NewEncoder returns an encoder that appends to buf.
func NewEncoder(buf []byte) *Encoder { return &Encoder{buf: buf} }

// Bytes returns what has been encoded. It stays the encoder's until the encoder
// is used no more.
func (e *Encoder) Bytes() []byte { return e.buf }

// Len returns how many bytes have been encoded.
func (e *Encoder) Len() int { return len(e.buf) }

// Reset forgets what has been encoded and keeps the memory.
func (e *Encoder) Reset() { e.buf = e.buf[:0] }

// Raw appends p as it is.
func (e *Encoder) Raw(p []byte) { e.buf = append(e.buf, p...) }

// Zero appends n zero bytes.
func (e *Encoder) Zero(n int) { e.buf = append(e.buf, make([]byte, n)...) }

// U8 writes a byte.
func (e *Encoder) U8(v uint8) { e.buf = append(e.buf, v) }

// U16 writes two bytes.
func (e *Encoder) U16(v uint16) { e.buf = binary.LittleEndian.AppendUint16(e.buf, v) }

// U32 writes four bytes.
func (e *Encoder) U32(v uint32) { e.buf = binary.LittleEndian.AppendUint32(e.buf, v) }

// U64 writes eight bytes.
func (e *Encoder) U64(v uint64) { e.buf = binary.LittleEndian.AppendUint64(e.buf, v) }

// I8 writes a signed byte.
func (e *Encoder) I8(v int8) { e.U8(uint8(v)) }

// I16 writes two bytes, signed.
func (e *Encoder) I16(v int16) { e.U16(uint16(v)) }

// I32 writes four bytes, signed.
func (e *Encoder) I32(v int32) { e.U32(uint32(v)) }

// I64 writes eight bytes, signed.
func (e *Encoder) I64(v int64) { e.U64(uint64(v)) }

// F32 writes a four-byte float.
func (e *Encoder) F32(v float32) { e.U32(math.Float32bits(v)) }

// F64 writes an eight-byte float.
func (e *Encoder) F64(v float64) { e.U64(math.Float64bits(v)) }

// Bool writes 0 or 1.
func (e *Encoder) Bool(v bool) {
	if v {
		e.U8(1)
	} else {
		e.U8(0)
	}
}

// Blob writes the length of p and p.
func (e *Encoder) Blob(p []byte) {
	e.U32(uint32(len(p)))
	e.Raw(p)
}

// Str writes the length of s and its bytes.
func (e *Encoder) Str(s string) {
	e.U32(uint32(len(s)))
	e.buf = append(e.buf, s...)
}

// Mark is where the length of a struct or blob has to be filled in.
type Mark int

// Begin writes the header of a versioned struct; End fills in its length.
func (e *Encoder) Begin(version, compat uint8) Mark {
	e.U8(version)
	e.U8(compat)
	return e.Open()
}

// Open leaves room for the length of a blob whose content follows until End.
func (e *Encoder) Open() Mark {
	m := Mark(len(e.buf))
	e.U32(0)
	return m
}

// End fills in the length of what was written since Begin or Open returned m.
func (e *Encoder) End(m Mark) {
	binary.LittleEndian.PutUint32(e.buf[m:], uint32(len(e.buf)-int(m)-4))
}

// PutSlice writes a count and every element.
func PutSlice[T any](e *Encoder, list []T, elem func(*Encoder, T)) {
	e.U32(uint32(len(list)))
	for _, v := range list {
		elem(e, v)
	}
}

// PutMap writes a count and every pair in ascending order of keys.
func PutMap[K cmp.Ordered, V any](e *Encoder, m map[K]V, key func(*Encoder, K), value func(*Encoder, V)) {
	PutMapFunc(e, m, cmp.Compare[K], key, value)
}

// PutMapFunc is PutMap for keys whose order compare gives.
func PutMapFunc[K comparable, V any](e *Encoder, m map[K]V, compare func(a, b K) int, key func(*Encoder, K), value func(*Encoder, V)) {
	e.U32(uint32(len(m)))
	for _, k := range slices.SortedFunc(maps.Keys(m), compare) {
		key(e, k)
		value(e, m[k])
	}
}
