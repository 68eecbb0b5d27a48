package clstest

import (
	"fmt"

	"ebofs/cluster/denc"
)

// Raw is bytes that are encoded already.
type Raw []byte

// Encode encodes fields one after the other: integers by their size, bool, string,
// []byte with its length, Raw as it is, and what encodes itself.
func Encode(fields ...any) []byte {
	var e denc.Encoder
	for _, f := range fields {
		switch f := f.(type) {
		case uint8:
			e.U8(f)
		case uint32:
			e.U32(f)
		case uint64:
			e.U64(f)
		case int64:
			e.I64(f)
		case bool:
			e.Bool(f)
		case string:
			e.Str(f)
		case []byte:
			e.Blob(f)
		case Raw:
			e.Raw(f)
		case interface{ Encode(*denc.Encoder) }:
			f.Encode(&e)
		default:
			panic(fmt.Sprintf("clstest: %T is not encoded", f))
		}
	}
	return e.Bytes()
}

// Struct is fields in a versioned struct that every decoder of version 1 reads.
func Struct(version uint8, fields ...any) Raw {
	var e denc.Encoder
	m := e.Begin(version, 1)
	e.Raw(Encode(fields...))
	e.End(m)
	return e.Bytes()
}

// Want calls a method with fields as input and fails the test if the error is not
// the one wanted. It returns the output.
func (o *Object) Want(want error, class, method string, fields ...any) []byte {
	o.t.Helper()
	out, err := o.Call(class, method, Encode(fields...))
	if err != want {
		o.t.Fatalf("%s.%s: %v, want %v", class, method, err, want)
	}
	return out
}
