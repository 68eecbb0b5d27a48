package rbd

import (
	"bytes"
	"fmt"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/osd/cls/clstest"
)

// object is one object of an image, or of a pool of images.
type object struct {
	*clstest.Object
	t *testing.T
}

func newObject(t *testing.T) object { return object{clstest.New(t, "o"), t} }

// newHeader is the header of an image of 1 MiB with features.
func newHeader(t *testing.T, features uint64) object {
	o := newObject(t)
	o.ok("create", uint64(1<<20), uint8(16), features, "rbd_data.x", int64(noPool))
	return o
}

func (o object) ok(method string, fields ...any) []byte {
	o.t.Helper()
	return o.Want(nil, "rbd", method, fields...)
}

func (o object) fails(want error, method string, fields ...any) {
	o.t.Helper()
	o.Want(want, "rbd", method, fields...)
}

// gives wants an output of fields.
func (o object) gives(want []any, method string, fields ...any) {
	o.t.Helper()
	if got, want := o.ok(method, fields...), clstest.Encode(want...); !bytes.Equal(got, want) {
		o.t.Fatalf("%s: %x, want %x", method, got, want)
	}
}

const head = uint64(ceph.NoSnap)

// out is a list of fields of an output.
func out(fields ...any) []any { return fields }

func TestCreate(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "get_size", head)
	o.fails(ceph.ENOENT, "set_size", uint64(1))
	o.fails(ceph.ENOENT, "set_flags", uint64(1), uint64(1), head)
	o.fails(ceph.ENOENT, "set_access_timestamp")
	o.fails(ceph.ENOSYS, "create", uint64(1), uint8(16), uint64(1<<12), "x", int64(noPool))
	o.fails(ceph.EINVAL, "create", uint64(1), uint8(16), uint64(0), "", int64(noPool))
	o.fails(ceph.EINVAL, "create", uint64(1), uint8(16), featureOperations, "x", int64(noPool))
	o.fails(ceph.EINVAL, "create", uint64(1), uint8(16), uint64(0), "x", int64(3))
	o.fails(ceph.EINVAL, "create", uint64(1), uint8(16), featureDataPool, "x", int64(noPool))
	o.ok("create", uint64(1<<20), uint8(16), featureDataPool|featureObjectMap, "rbd_data.x", int64(3))
	o.fails(ceph.EEXIST, "create", uint64(1), uint8(16), uint64(0), "x", int64(noPool))
	o.gives(out(uint8(16), uint64(1<<20)), "get_size", head)
	o.fails(ceph.ENOENT, "get_size", uint64(4))
	o.gives(out("rbd_data.x"), "get_object_prefix")
	o.gives(out(int64(3)), "get_data_pool")
	o.gives(out(uint64(0x88), uint64(0x80)), "get_features", head, true)
	o.gives(out(uint64(0x88), uint64(0x88)), "get_features", head)
	o.gives(out(ceph.MakeTime(o.Now)), "get_create_timestamp")
	o.gives(out(uint64(0), uint32(0)), "get_snapcontext")
	o.fails(ceph.EOPNOTSUPP, "namespace_add", "n")
}

func TestTimes(t *testing.T) {
	o := newHeader(t, 0)
	made := ceph.MakeTime(o.Now)
	o.Now = o.Now.Add(1e9)
	o.ok("set_modify_timestamp")
	o.gives(out(ceph.MakeTime(o.Now)), "get_modify_timestamp")
	o.gives(out(made), "get_access_timestamp")
}

func TestFlags(t *testing.T) {
	o := newHeader(t, 0)
	o.gives(out(uint64(0)), "get_flags", head)
	o.ok("set_flags", uint64(3), uint64(1), head)
	o.gives(out(uint64(1)), "get_flags", head)
	o.ok("snapshot_add", "a", uint64(4))
	o.ok("set_flags", uint64(2), uint64(3), uint64(4))
	o.gives(out(uint64(2)), "get_flags", uint64(4))
	o.gives(out(uint64(1)), "get_flags", head)
	o.fails(ceph.ENOENT, "get_flags", uint64(5))
	o.fails(ceph.ENOENT, "set_flags", uint64(2), uint64(3), uint64(5))
}

func TestFeatures(t *testing.T) {
	o := newHeader(t, featureLayering|featureDeepFlatten)
	o.fails(ceph.EINVAL, "set_features", featureOperations, featureOperations)
	o.fails(ceph.EINVAL, "set_features", featureStriping, featureStriping)
	o.fails(ceph.EINVAL, "set_features", uint64(0), featureLayering)
	o.ok("set_features", featureExclusiveLock, featureExclusiveLock|featureDeepFlatten)
	o.fails(ceph.EINVAL, "set_features", featureDeepFlatten, featureDeepFlatten) // only off
	o.gives(out(uint64(5), uint64(5)), "get_features", head, false)
	o.gives(out(uint64(0xfff)), "get_all_features")

	o.fails(ceph.EINVAL, "op_features_set", uint64(16), uint64(16))
	o.ok("op_features_set", opGroup, opGroup)
	o.gives(out(opGroup), "op_features_get")
	o.gives(out(uint64(5)|featureOperations, uint64(5)|featureOperations), "get_features", head, false)
	o.ok("op_features_set", uint64(0), opGroup)
	o.gives(out(uint64(5), uint64(5)), "get_features", head, false)
}

func TestStriping(t *testing.T) {
	o := newHeader(t, 0)
	o.fails(ceph.ENOEXEC, "get_stripe_unit_count")
	o.fails(ceph.ENOEXEC, "set_stripe_unit_count", uint64(4096), uint64(4))
	o = newHeader(t, featureStriping)
	o.gives(out(uint64(1<<16), uint64(1)), "get_stripe_unit_count")
	o.fails(ceph.EINVAL, "set_stripe_unit_count", uint64(0), uint64(4))
	o.fails(ceph.EINVAL, "set_stripe_unit_count", uint64(4096), uint64(0))
	o.fails(ceph.EINVAL, "set_stripe_unit_count", uint64(5000), uint64(4))
	o.fails(ceph.EINVAL, "set_stripe_unit_count", uint64(1<<17), uint64(4))
	o.ok("set_stripe_unit_count", uint64(4096), uint64(4))
	o.gives(out(uint64(4096), uint64(4)), "get_stripe_unit_count")
}

func TestMetadata(t *testing.T) {
	o := newHeader(t, 0)
	o.fails(ceph.ENOENT, "metadata_get", "k")
	for i := range 300 {
		o.ok("metadata_set", uint32(1), fmt.Sprintf("k%03d", i), []byte{byte(i)})
	}
	o.gives(out([]byte{7}), "metadata_get", "k007")
	o.gives(out(uint32(2), "k258", []byte{2}, "k259", []byte{3}), "metadata_list", "k257", uint64(2))
	if n := len(o.ok("metadata_list", "", uint64(0))); n != 4+300*(4+4+4+1) {
		t.Fatalf("all of it has %d bytes", n)
	}
	o.ok("metadata_remove", "k258")
	o.gives(out(uint32(1), "k259", []byte{3}), "metadata_list", "k257", uint64(1))
}

func TestID(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "get_id")
	for _, bad := range []string{"", "a b", "ä", "a/"} {
		o.fails(ceph.EINVAL, "set_id", bad)
	}
	o.fails(ceph.ENOENT, "set_id", "0aZ9")
	o.Write(nil)
	o.ok("set_id", "0aZ9")
	o.gives(out("0aZ9"), "get_id")
	o.fails(ceph.EEXIST, "set_id", "1")
	o.Write(nil)
	o.fails(ceph.ENOENT, "get_id")
	o.ok("set_id", "1")
	o.Write([]byte{9, 0, 0, 0, 'x'})
	o.fails(ceph.EIO, "get_id")
}

func TestGroupAndMirror(t *testing.T) {
	o := newHeader(t, 0)
	o.gives(out(clstest.Struct(1, int64(noPool), "")), "image_group_get")
	o.fails(ceph.ENOENT, "mirror_mode_get")
	o.fails(ceph.ENOENT, "mirror_image_get", "1")
	o.fails(ceph.ENOENT, "mirror_image_remove", "1")
}
