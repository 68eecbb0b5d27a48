package version

import (
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls/clstest"
)

func at(number uint64, tag string) clstest.Raw { return clstest.Struct(1, number, tag) }

// when is the input of inc_conds and check_conds.
func when(conds ...clstest.Raw) clstest.Raw {
	fields := []any{at(0, ""), uint32(len(conds))}
	for _, c := range conds {
		fields = append(fields, c)
	}
	return clstest.Struct(1, fields...)
}

func cond(kind uint32, number uint64, tag string) clstest.Raw {
	return clstest.Struct(1, at(number, tag), kind)
}

func TestConditions(t *testing.T) {
	o := clstest.New(t, "o")
	o.Want(nil, "version", "set", clstest.Struct(1, at(5, "tag")))
	for _, c := range []struct {
		kind   uint32
		number uint64
		tag    string
		holds  bool
	}{
		{always, 0, "", true},
		{equal, 5, "tag", true}, {equal, 5, "other", false}, {equal, 4, "tag", false},
		{greater, 4, "", true}, {greater, 5, "", false},
		{greaterOrEqual, 5, "", true}, {greaterOrEqual, 6, "", false},
		{less, 6, "", true}, {less, 5, "", false},
		{lessOrEqual, 5, "", true}, {lessOrEqual, 4, "", false},
		{tagEqual, 0, "tag", true}, {tagEqual, 0, "other", false},
		{tagDiffers, 0, "other", true}, {tagDiffers, 0, "tag", false},
	} {
		want := error(nil)
		if !c.holds {
			want = ceph.ECANCELED
		}
		o.Want(want, "version", "check_conds", when(cond(c.kind, c.number, c.tag)))
		o.Want(want, "version", "inc_conds", when(cond(c.kind, c.number, c.tag)))
		o.Want(nil, "version", "set", clstest.Struct(1, at(5, "tag")))
	}
	o.Want(ceph.EINVAL, "version", "check_conds", when(cond(99, 0, "")))
	o.Want(ceph.ECANCELED, "version", "check_conds", when(cond(always, 0, ""), cond(less, 5, "")))
}

func TestCounting(t *testing.T) {
	o := clstest.New(t, "o")
	load := func() version {
		t.Helper()
		d := denc.NewDecoder(o.Want(nil, "version", "read"))
		d.Begin(1)
		return decode(d)
	}
	o.Want(ceph.ENOENT, "version", "read")
	o.Write(nil)
	if v := load(); v != (version{}) {
		t.Fatalf("of none: %+v", v)
	}
	o.Want(nil, "version", "inc", when())
	first := load()
	if first.number != 1 || len(first.tag) != 24 {
		t.Fatalf("first: %+v", first)
	}
	o.Want(nil, "version", "inc", when(cond(tagEqual, 0, "looked at by inc_conds only")))
	if v := load(); v != (version{2, first.tag}) {
		t.Fatalf("second: %+v", v)
	}
	o.Attr(attr, []byte("no version"))
	o.Want(ceph.EIO, "version", "read")
	o.Want(ceph.EIO, "version", "inc", when())
}
