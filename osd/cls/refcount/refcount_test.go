package refcount

import (
	"bytes"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/osd/cls/clstest"
)

// object is an object with owners.
type object struct {
	*clstest.Object
	t *testing.T
}

func newObject(t *testing.T) object {
	o := object{clstest.New(t, "o"), t}
	o.Write([]byte("shared"))
	return o
}

func (o object) get(want error, tag string, implicit bool) {
	o.t.Helper()
	o.Want(want, "refcount", "get", clstest.Struct(1, tag, implicit))
}

func (o object) put(want error, tag string, implicit bool) {
	o.t.Helper()
	o.Want(want, "refcount", "put", clstest.Struct(1, tag, implicit))
}

func (o object) has(tags ...string) {
	o.t.Helper()
	fields := []any{uint32(len(tags))}
	for _, t := range tags {
		fields = append(fields, t)
	}
	if got, want := o.Want(nil, "refcount", "read", clstest.Struct(1, true)), clstest.Struct(1, fields...); !bytes.Equal(got, want) {
		o.t.Fatalf("%x, want %x", got, want)
	}
}

func (o object) gone() {
	o.t.Helper()
	if _, err := o.Read(); err != ceph.ENOENT {
		o.t.Fatalf("the object: %v", err)
	}
}

func TestReferences(t *testing.T) {
	o := newObject(t)
	o.put(ceph.EINVAL, "a", false) // nobody has it
	o.get(nil, "a", false)
	o.get(nil, "b", false)
	o.has("a", "b")
	o.put(nil, "c", false)
	o.put(nil, "a", false)
	o.put(nil, "a", false) // was put before
	o.has("b")
	o.put(nil, "b", false)
	o.gone()
}

// TestWildcard shares an object whose maker did not count.
func TestWildcard(t *testing.T) {
	o := newObject(t)
	o.has("")
	o.get(nil, "copy", true)
	o.has("", "copy")
	o.put(nil, "maker", true) // has no tag of its own: the wildcard's
	o.put(nil, "maker", true)
	o.has("copy")
	o.put(nil, "copy", true)
	o.gone()
}

func TestSet(t *testing.T) {
	o := newObject(t)
	o.Want(nil, "refcount", "set", clstest.Struct(1, uint32(2), "x", "y"))
	o.has("x", "y")
	o.Want(nil, "refcount", "set", clstest.Struct(1, uint32(0)))
	o.gone()
	o.get(ceph.ENOENT, "x", false)
	o = newObject(t)
	o.Attr(attr, []byte("no references"))
	o.get(ceph.EIO, "x", false)
	o.put(ceph.EIO, "x", false)
}
