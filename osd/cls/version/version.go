package version

import (
	"crypto/rand"
	"errors"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

func init() {
	cls.Register("version", cls.Class{
		"set":         cls.Writing(decodeSet, set),
		"inc":         cls.Writing(decodeUnconditional, increase),
		"inc_conds":   cls.Writing(decodeConditions, increase),
		"read":        cls.Reading(cls.NoInput, read),
		"check_conds": cls.Reading(decodeConditions, check),
	})
}

// attr is where the version is.
const attr = "ceph.objclass.version"

// version is the version of an object. (obj_version)
type version struct {
	number uint64
	tag    string
}

func (v version) encode(e *denc.Encoder) {
	m := e.Begin(1, 1)
	e.U64(v.number)
	e.Str(v.tag)
	e.End(m)
}

func decode(d *denc.Decoder) version {
	s := d.Begin(1)
	v := version{d.U64(), d.Str()}
	d.End(s)
	return v
}

// load reads the version; an object without one has the zero value.
func load(c cls.Context) (v version, err error) {
	p, err := c.Attr(attr)
	switch {
	case errors.Is(err, ceph.ENODATA), errors.Is(err, ceph.ENOENT):
		return version{}, nil
	case err != nil:
		return v, err
	}
	d := denc.NewDecoder(p)
	if v = decode(d); d.Err() != nil {
		return v, ceph.EIO
	}
	return v, nil
}

// set stores v; it is the method of that name.
func set(c cls.Context, v version) error {
	var e denc.Encoder
	v.encode(&e)
	return c.SetAttr(attr, e.Bytes())
}

// decodeSet reads a cls_version_set_op.
func decodeSet(d *denc.Decoder) version {
	s := d.Begin(1)
	v := decode(d)
	d.End(s)
	return v
}

// condition compares the version with a given one. (obj_version_cond)
type condition struct {
	version
	kind uint32
}

// Kinds of conditions: stored OP given.
const (
	always = iota
	equal  // number and tag
	greater
	greaterOrEqual
	less
	lessOrEqual
	tagEqual
	tagDiffers
)

// holds evaluates k for the stored version v.
func (k condition) holds(v version) (ok, known bool) {
	switch k.kind {
	case always:
		return true, true
	case equal:
		return v == k.version, true
	case greater:
		return v.number > k.number, true
	case greaterOrEqual:
		return v.number >= k.number, true
	case less:
		return v.number < k.number, true
	case lessOrEqual:
		return v.number <= k.number, true
	case tagEqual:
		return v.tag == k.tag, true
	case tagDiffers:
		return v.tag != k.tag, true
	}
	return false, false
}

// decodeConditions reads a version, which does not matter, and conditions.
// (cls_version_inc_op, cls_version_check_op)
func decodeConditions(d *denc.Decoder) []condition {
	s := d.Begin(1)
	decode(d)
	all := denc.Slice(d, 22, func(d *denc.Decoder) condition {
		s := d.Begin(1)
		k := condition{decode(d), d.U32()}
		d.End(s)
		return k
	})
	d.End(s)
	return all
}

// decodeUnconditional reads the same of a method that looks at no conditions.
func decodeUnconditional(d *denc.Decoder) []condition {
	decodeConditions(d)
	return nil
}

// verify returns ECANCELED if a condition does not hold of v.
func verify(v version, all []condition) error {
	for _, k := range all {
		switch ok, known := k.holds(v); {
		case !known:
			return ceph.EINVAL
		case !ok:
			return ceph.ECANCELED
		}
	}
	return nil
}

// increase counts one up if all conditions hold.
func increase(c cls.Context, all []condition) error {
	v, err := load(c)
	if err != nil {
		return err
	}
	if v == (version{}) {
		v.tag = rand.Text()[:24]
	}
	if err := verify(v, all); err != nil {
		return err
	}
	v.number++
	return set(c, v)
}

func read(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	v, err := load(c)
	m := out.Begin(1, 1) // cls_version_read_ret
	v.encode(out)
	out.End(m)
	return err
}

func check(c cls.Context, all []condition, _ *denc.Encoder) error {
	v, err := load(c)
	if err != nil {
		return err
	}
	return verify(v, all)
}
