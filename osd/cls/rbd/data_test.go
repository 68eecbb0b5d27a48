package rbd

import (
	"bytes"
	"math"
	"testing"

	"ebofs/cluster/ceph"
)

func (o object) content() []byte {
	o.t.Helper()
	p, err := o.Read()
	if err != nil {
		o.t.Fatal(err)
	}
	return p
}

func TestCopyUp(t *testing.T) {
	o := newObject(t)
	if _, err := o.Call("rbd", "copyup", []byte("parent")); err != nil {
		t.Fatal(err)
	}
	if _, err := o.Call("rbd", "copyup", []byte("again")); err != nil {
		t.Fatal(err)
	}
	if got := o.content(); string(got) != "parent" {
		t.Fatalf("%q", got)
	}
}

func TestSparseCopyUp(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.EINVAL, "sparse_copyup", uint32(1), uint64(0), uint64(4), []byte("abc"))
	o.fails(ceph.EINVAL, "sparse_copyup", uint32(1), uint64(math.MaxUint64), uint64(3), []byte("abc"))
	o.fails(ceph.EFBIG, "sparse_copyup", uint32(1), uint64(1<<40), uint64(3), []byte("abc"))
	o.fails(ceph.ENOENT, "get_id") // still missing
	o.ok("sparse_copyup", uint32(2), uint64(2), uint64(3), uint64(8), uint64(1), []byte("abcd"))
	o.ok("sparse_copyup", uint32(1), uint64(0), uint64(1), []byte("x"))
	if got := o.content(); string(got) != "\x00\x00abc\x00\x00\x00d" {
		t.Fatalf("%q", got)
	}
	o = newObject(t)
	o.ok("sparse_copyup", uint32(0), []byte{})
	if got := o.content(); len(got) != 0 {
		t.Fatalf("%q", got)
	}
}

func TestSparsify(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "sparsify", uint64(minSparse), false)
	for _, c := range []struct {
		have, left string
		remove     bool
	}{
		{"abcd", "abcd", true},
		{"....abcd....", "....abcd", true},
		{"a.......b", "a.......b", true},
		{"a......", "a...", false},
		{"abcde..", "abcde..", false}, // less than a block of zeros
		{"........", "", false},
		{"abcd....e.......fghi", "abcd....e.......fghi", false},
	} {
		data := func(s string) (p []byte) { // four letters are a block
			for _, b := range []byte(s) {
				p = append(p, bytes.Repeat([]byte{b}, minSparse/4)...)
			}
			return bytes.ReplaceAll(p, []byte("."), []byte{0})
		}
		o.Write(data(c.have))
		o.ok("sparsify", uint64(minSparse), c.remove)
		if got := o.content(); !bytes.Equal(got, data(c.left)) {
			t.Errorf("%q is not %q", c.have, c.left)
		}
	}
	o.Write(make([]byte, 9))
	o.fails(ceph.EINVAL, "sparsify", uint64(minSparse-1), true)
	o.ok("sparsify", uint64(math.MaxUint64), true)
	if _, err := o.Read(); err != ceph.ENOENT {
		t.Errorf("an object of zeros: %v", err)
	}
}
