package cls

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// Reading makes a method that reads. Decode takes its input apart; input that is
// too short is EINVAL, and what newer clients append is ignored. Do answers by
// what it appends to out.
func Reading[A any](decode func(*denc.Decoder) A, do func(c Context, arg A, out *denc.Encoder) error) Method {
	return Method{Reads: true, Call: func(c Context, in []byte) ([]byte, error) {
		arg, err := unpack(decode, in)
		if err != nil {
			return nil, err
		}
		var out denc.Encoder
		if err := do(c, arg, &out); err != nil {
			return nil, err
		}
		return out.Bytes(), nil
	}}
}

// Writing makes a method that changes the object, and may read it, but answers
// nothing.
func Writing[A any](decode func(*denc.Decoder) A, do func(c Context, arg A) error) Method {
	return Method{Reads: true, Writes: true, Call: func(c Context, in []byte) ([]byte, error) {
		arg, err := unpack(decode, in)
		if err != nil {
			return nil, err
		}
		return nil, do(c, arg)
	}}
}

func unpack[A any](decode func(*denc.Decoder) A, in []byte) (A, error) {
	d := denc.NewDecoder(in)
	arg := decode(d)
	if d.Err() != nil {
		return arg, ceph.EINVAL
	}
	return arg, nil
}

// Nothing is the input of methods that take none.
type Nothing struct{}

// NoInput decodes nothing.
func NoInput(*denc.Decoder) Nothing { return Nothing{} }

// AllInput is input that is not encoded: the bytes themselves.
func AllInput(d *denc.Decoder) []byte { return d.Raw(d.Left()) }
