package rbd

import (
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/osd/cls/clstest"
)

func spec(pool int64, image string, snap uint64) clstest.Raw {
	return clstest.Struct(1, pool, "ns", image, snap)
}

var none = clstest.Struct(1, int64(noPool), "", "", head)

func TestAttach(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "parent_attach", spec(1, "p", 4), uint64(1), false)
	o.fails(ceph.ENOENT, "parent_detach")
	o = newHeader(t, 0)
	o.fails(ceph.ENOEXEC, "parent_attach", spec(1, "p", 4), uint64(1), false)
	o.fails(ceph.ENOEXEC, "parent_detach")
	o = newHeader(t, featureLayering)
	o.gives(out(none), "parent_get")
	o.gives(out(false), "parent_overlap_get", head)
	o.fails(ceph.ENOENT, "parent_detach")
	o.fails(ceph.EINVAL, "parent_attach", spec(1, "p", 4), uint64(0), false)
	for _, bad := range []clstest.Raw{spec(-1, "p", 4), spec(1, "", 4), spec(1, "p", head)} {
		o.fails(ceph.EINVAL, "parent_attach", bad, uint64(1), false)
	}
	o.ok("parent_attach", spec(1, "p", 4), uint64(2<<20))
	o.gives(out(spec(1, "p", 4)), "parent_get")
	o.gives(out(true, uint64(1<<20)), "parent_overlap_get", head) // no more than its own size
	o.fails(ceph.EEXIST, "parent_attach", spec(1, "p", 4), uint64(1), false)
	o.ok("parent_attach", spec(1, "q", 4), uint64(1<<19), true)
	o.gives(out(spec(1, "q", 4)), "parent_get")
	o.gives(out(true, uint64(1<<19)), "parent_overlap_get", head)
	o.fails(ceph.ENOENT, "parent_overlap_get", uint64(4))
}

// TestShrink makes a clone smaller and larger again: what was cut off does not
// show the parent any more.
func TestShrink(t *testing.T) {
	o := newHeader(t, featureLayering)
	o.ok("parent_attach", spec(1, "p", 4), uint64(1<<20), false)
	o.ok("set_size", uint64(3<<18))
	o.ok("set_size", uint64(2<<20))
	o.gives(out(true, uint64(3<<18)), "parent_overlap_get", head)
}

// TestFlatten detaches a clone with snapshots from its parent: they go on showing
// it, and the last of them that goes takes the parent along.
func TestFlatten(t *testing.T) {
	o := newHeader(t, featureLayering)
	o.ok("parent_attach", spec(1, "p", 4), uint64(1<<19), false)
	o.ok("op_features_set", opCloneChild, opCloneChild)
	o.ok("snapshot_add", "a", uint64(5))
	o.ok("snapshot_add", "b", uint64(6))
	o.ok("parent_detach")
	o.fails(ceph.ENOENT, "parent_detach")
	o.gives(out(false), "parent_overlap_get", head)
	o.gives(out(true, uint64(1<<19)), "parent_overlap_get", uint64(5))
	o.gives(out(spec(1, "p", 4)), "parent_get")
	o.fails(ceph.EEXIST, "parent_attach", spec(1, "q", 4), uint64(1))
	o.ok("parent_attach", spec(1, "p", 4), uint64(1<<18))
	o.gives(out(true, uint64(1<<18)), "parent_overlap_get", head)
	o.ok("parent_detach")
	o.ok("snapshot_remove", uint64(5))
	o.gives(out(spec(1, "p", 4)), "parent_get")
	o.gives(out(opCloneChild), "op_features_get")
	o.ok("snapshot_remove", uint64(6))
	o.gives(out(none), "parent_get")
	o.gives(out(uint64(0)), "op_features_get")
}

// TestDeepFlatten does so with an image whose snapshots are flattened, too.
func TestDeepFlatten(t *testing.T) {
	o := newHeader(t, featureLayering|featureDeepFlatten)
	o.ok("parent_attach", spec(1, "p", 4), uint64(1<<19), false)
	o.ok("op_features_set", opCloneChild, opCloneChild)
	o.ok("snapshot_add", "a", uint64(5))
	o.ok("parent_detach")
	o.gives(out(none), "parent_get")
	o.gives(out(false), "parent_overlap_get", uint64(5))
	o.gives(out(uint64(0)), "op_features_get")
}

func TestChildren(t *testing.T) {
	o := newHeader(t, featureLayering)
	a, b := clstest.Struct(2, int64(2), "x", ""), clstest.Struct(2, int64(1), "y", "ns")
	o.fails(ceph.ENOENT, "child_attach", uint64(4), a)
	o.ok("snapshot_add", "a", uint64(4))
	o.fails(ceph.ENOENT, "children_list", uint64(4))
	o.ok("child_attach", uint64(4), a)
	o.ok("child_attach", uint64(4), b)
	o.fails(ceph.EEXIST, "child_attach", uint64(4), a)
	o.gives(out(uint32(2), b, a), "children_list", uint64(4))
	o.gives(out(clstest.Struct(1, uint64(4), user, "a", uint64(1<<20), ceph.MakeTime(o.Now), uint32(2))), "snapshot_get", uint64(4))
	o.gives(out(opCloneParent), "op_features_get")
	o.ok("child_detach", uint64(4), a)
	o.fails(ceph.ENOENT, "child_detach", uint64(4), a)
	o.gives(out(opCloneParent), "op_features_get")
	o.ok("child_detach", uint64(4), b)
	o.fails(ceph.ENOENT, "children_list", uint64(4))
	o.gives(out(uint64(0)), "op_features_get")
	o.ok("snapshot_remove", uint64(4))
}

// TestClones is the other format, which clients list clones in themselves.
func TestClones(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "get_children", int64(1), "p", uint64(4))
	o.fails(ceph.ENOENT, "remove_child", int64(1), "p", uint64(4), "x")
	o.ok("add_child", int64(1), "p", uint64(4), "y")
	o.ok("add_child", int64(1), "p", uint64(4), "x")
	o.fails(ceph.EEXIST, "add_child", int64(1), "p", uint64(4), "x")
	o.gives(out(uint32(2), "x", "y"), "get_children", int64(1), "p", uint64(4))
	o.fails(ceph.ENOENT, "get_children", int64(1), "p", uint64(5))
	o.fails(ceph.ENOENT, "remove_child", int64(1), "p", uint64(4), "z")
	o.ok("remove_child", int64(1), "p", uint64(4), "x")
	o.ok("remove_child", int64(1), "p", uint64(4), "y")
	o.fails(ceph.ENOENT, "get_children", int64(1), "p", uint64(4))
}
