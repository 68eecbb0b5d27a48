package ops

import (
	"bytes"
	"cmp"
	"strconv"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/msg"
)

// attrArgs cuts name and value of an attr out of the input.
func attrArgs(in *msg.Op) (name string, value []byte, err error) {
	x := in.Xattr()
	if uint64(x.NameLength)+uint64(x.ValueLength) > uint64(len(in.Data)) {
		return "", nil, ceph.EINVAL
	}
	return string(in.Data[:x.NameLength]), in.Data[x.NameLength : x.NameLength+x.ValueLength], nil
}

func opGetXattr(r *run, in, out *msg.Op) (ceph.Errno, error) {
	name, _, err := attrArgs(in)
	if err == nil {
		err = r.v.must()
	}
	if err != nil {
		return 0, err
	}
	p, err := r.v.attr(name)
	if err != nil {
		return 0, err
	}
	out.Data = p
	x := in.Xattr()
	x.ValueLength = uint32(len(p))
	out.SetXattr(x)
	return 0, nil
}

func opGetXattrs(r *run, _, out *msg.Op) (ceph.Errno, error) {
	if err := r.v.must(); err != nil {
		return 0, err
	}
	all, err := r.v.allAttrs()
	if err != nil {
		return 0, err
	}
	var e denc.Encoder
	denc.PutMap(&e, all, (*denc.Encoder).Str, (*denc.Encoder).Blob)
	out.Data = e.Bytes()
	return 0, nil
}

// Comparisons, given OP stored.
const (
	cmpEQ = iota + 1
	cmpNE
	cmpGT
	cmpGTE
	cmpLT
	cmpLTE
)

// holds evaluates a comparison whose operands compare as c.
func holds(op uint8, c int) (bool, bool) {
	switch op {
	case cmpEQ:
		return c == 0, true
	case cmpNE:
		return c != 0, true
	case cmpGT:
		return c > 0, true
	case cmpGTE:
		return c >= 0, true
	case cmpLT:
		return c < 0, true
	case cmpLTE:
		return c <= 0, true
	}
	return false, false
}

// opCmpXattr compares what the client gives with what is stored, as bytes or as
// numbers. A whiteout is stored, without attrs.
func opCmpXattr(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	name, want, err := attrArgs(in)
	if err == nil && r.v.before == nil {
		err = ceph.ENOENT
	}
	if err != nil {
		return 0, err
	}
	have, err := r.v.oldAttr(name)
	if err != nil && errno(err) != ceph.ENODATA {
		return 0, err
	}
	x := in.Xattr()
	c := 0
	switch x.Mode {
	case 1:
		c = bytes.Compare(want, have)
	case 2:
		if len(want) < 8 {
			return 0, ceph.EINVAL
		}
		stored := uint64(0)
		if len(have) > 0 {
			if stored, err = strconv.ParseUint(string(have), 10, 64); err != nil {
				return 0, ceph.EINVAL
			}
		}
		c = cmp.Compare(le.Uint64(want), stored)
	default:
		return 0, ceph.EINVAL
	}
	ok, known := holds(x.Compare, c)
	switch {
	case !known:
		return 0, ceph.EINVAL
	case !ok:
		return 0, ceph.ECANCELED
	}
	return 1, nil
}

func opSetXattr(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	name, value, err := attrArgs(in)
	if err != nil {
		return 0, err
	}
	return 0, r.v.setAttr(name, value)
}

func opRmXattr(r *run, in, _ *msg.Op) (ceph.Errno, error) {
	name, _, err := attrArgs(in)
	if err == nil {
		err = r.v.must()
	}
	if err != nil {
		return 0, err
	}
	r.v.rmAttr(name)
	return 0, nil
}
