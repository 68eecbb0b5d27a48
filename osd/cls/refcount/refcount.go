package refcount

import (
	"errors"
	"maps"
	"slices"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

func init() {
	cls.Register("refcount", cls.Class{
		"get":  cls.Writing(decodeReference, get),
		"put":  cls.Writing(decodeReference, put),
		"set":  cls.Writing(decodeSet, set),
		"read": cls.Reading(decodeRead, read),
	})
}

const (
	attr     = "refcount"
	wildcard = ""
)

// references is who has an object. (obj_refcount, v2)
type references struct {
	tags    map[string]bool
	retired map[string]bool
}

func (r *references) encode(e *denc.Encoder) {
	m := e.Begin(2, 1)
	denc.PutMap(e, r.tags, (*denc.Encoder).Str, (*denc.Encoder).Bool)
	denc.PutSlice(e, slices.Sorted(maps.Keys(r.retired)), (*denc.Encoder).Str)
	e.End(m)
}

func decode(d *denc.Decoder) *references {
	s := d.Begin(2)
	r := &references{tags: denc.Map(d, 5, (*denc.Decoder).Str, (*denc.Decoder).Bool)}
	if s.Version >= 2 {
		r.retired = setOf(denc.Slice(d, 4, (*denc.Decoder).Str))
	}
	d.End(s)
	return r
}

func setOf(tags []string) map[string]bool {
	m := make(map[string]bool, len(tags))
	for _, t := range tags {
		m[t] = true
	}
	return m
}

// load reads the references. An object without the attr has none, or the wildcard
// if that is implied.
func load(c cls.Context, implicit bool) (*references, error) {
	p, err := c.Attr(attr)
	switch {
	case errors.Is(err, ceph.ENODATA):
		r := &references{tags: map[string]bool{}}
		if implicit {
			r.tags[wildcard] = true
		}
		return r, nil
	case err != nil:
		return nil, err
	}
	d := denc.NewDecoder(p)
	r := decode(d)
	if d.Err() != nil {
		return nil, ceph.EIO
	}
	return r, nil
}

func (r *references) store(c cls.Context) error {
	var e denc.Encoder
	r.encode(&e)
	return c.SetAttr(attr, e.Bytes())
}

// reference is one to get or put. (cls_refcount_get_op, cls_refcount_put_op)
type reference struct {
	tag      string
	implicit bool
}

func decodeReference(d *denc.Decoder) reference {
	s := d.Begin(1)
	r := reference{d.Str(), d.U8() != 0}
	d.End(s)
	return r
}

func get(c cls.Context, ref reference) error {
	r, err := load(c, ref.implicit)
	if err != nil {
		return err
	}
	if r.tags == nil {
		r.tags = map[string]bool{}
	}
	r.tags[ref.tag] = true
	return r.store(c)
}

func put(c cls.Context, ref reference) error {
	r, err := load(c, ref.implicit)
	if err != nil {
		return err
	}
	if len(r.tags) == 0 {
		return ceph.EINVAL
	}
	tag := ref.tag
	if _, there := r.tags[tag]; !there && ref.implicit {
		tag = wildcard
	}
	if _, there := r.tags[tag]; !there || r.retired[ref.tag] {
		return nil
	}
	if delete(r.tags, tag); len(r.tags) == 0 {
		return c.Remove()
	}
	if r.retired == nil {
		r.retired = map[string]bool{}
	}
	r.retired[ref.tag] = true
	return r.store(c)
}

// decodeSet reads a cls_refcount_set_op.
func decodeSet(d *denc.Decoder) []string {
	s := d.Begin(1)
	tags := denc.Slice(d, 4, (*denc.Decoder).Str)
	d.End(s)
	return tags
}

func set(c cls.Context, tags []string) error {
	if len(tags) == 0 {
		return c.Remove()
	}
	return (&references{tags: setOf(tags)}).store(c)
}

// decodeRead reads a cls_refcount_read_op.
func decodeRead(d *denc.Decoder) (implicit bool) {
	s := d.Begin(1)
	implicit = d.U8() != 0
	d.End(s)
	return implicit
}

// read returns the tags. (cls_refcount_read_ret)
func read(c cls.Context, implicit bool, out *denc.Encoder) error {
	r, err := load(c, implicit)
	if err != nil {
		return err
	}
	m := out.Begin(1, 1)
	denc.PutSlice(out, slices.Sorted(maps.Keys(r.tags)), (*denc.Encoder).Str)
	out.End(m)
	return nil
}
