package rbd

import (
	"math"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls/clstest"
)

var user = clstest.Struct(1, uint32(snapUser))

func TestSnapshots(t *testing.T) {
	o := newHeader(t, featureLayering)
	o.ok("snapshot_add", "a", uint64(4), user)
	o.fails(ceph.EEXIST, "snapshot_add", "a", uint64(5), user)
	o.fails(ceph.EEXIST, "snapshot_add", "b", uint64(4), user)
	o.fails(ceph.ESTALE, "snapshot_add", "b", uint64(3), user)
	o.fails(ceph.EINVAL, "snapshot_add", "b", uint64(5), clstest.Struct(1, uint32(9)))
	o.fails(ceph.EINVAL, "snapshot_add", "b", head, user)
	o.fails(ceph.EOPNOTSUPP, "snapshot_add", "b", uint64(5), clstest.Struct(1, uint32(snapMirror)))
	o.ok("set_size", uint64(2<<20))
	taken := ceph.MakeTime(o.Now)
	o.ok("snapshot_add", "b", uint64(7))
	o.gives(out(uint64(7), uint32(2), uint64(7), uint64(4)), "get_snapcontext")
	o.gives(out(uint8(16), uint64(1<<20)), "get_size", uint64(4))
	o.gives(out(uint8(16), uint64(2<<20)), "get_size", uint64(7))
	o.gives(out(clstest.Struct(1, uint64(7), user, "b", uint64(2<<20), taken, uint32(0))), "snapshot_get", uint64(7))
	o.gives(out("a"), "get_snapshot_name", uint64(4))
	o.gives(out(taken), "get_snapshot_timestamp", uint64(7))
	o.fails(ceph.EINVAL, "get_snapshot_name", head)
	o.fails(ceph.ENOENT, "snapshot_get", uint64(5))
	o.fails(ceph.EINVAL, "snapshot_get", head)

	o.fails(ceph.EEXIST, "snapshot_rename", uint64(4), "b")
	o.fails(ceph.ENOENT, "snapshot_rename", uint64(5), "c")
	o.ok("snapshot_rename", uint64(4), "c")
	o.gives(out("c"), "get_snapshot_name", uint64(4))

	o.fails(ceph.ENOENT, "snapshot_remove", uint64(5))
	o.ok("snapshot_remove", uint64(7))
	o.gives(out(uint64(7), uint32(1), uint64(4)), "get_snapcontext") // ids are not used again
	o.fails(ceph.ESTALE, "snapshot_add", "d", uint64(6))
}

func TestSnapshotLimit(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "snapshot_set_limit", uint64(1))
	o = newHeader(t, 0)
	o.gives(out(uint64(math.MaxUint64)), "snapshot_get_limit")
	o.ok("snapshot_set_limit", uint64(1))
	o.ok("snapshot_add", "a", uint64(1))
	o.fails(ceph.EDQUOT, "snapshot_add", "b", uint64(2))
	o.fails(ceph.ERANGE, "snapshot_set_limit", uint64(0))
	o.ok("snapshot_set_limit", uint64(math.MaxUint64))
	o.ok("snapshot_add", "b", uint64(2))
}

func TestProtection(t *testing.T) {
	o := newHeader(t, 0)
	o.fails(ceph.ENOEXEC, "set_protection_status", uint64(4), uint8(protected))
	o = newHeader(t, featureLayering)
	o.ok("snapshot_add", "a", uint64(4))
	o.gives(out(uint8(unprotected)), "get_protection_status", uint64(4))
	o.fails(ceph.EINVAL, "get_protection_status", head)
	o.fails(ceph.EINVAL, "set_protection_status", head, uint8(protected))
	o.fails(ceph.EINVAL, "set_protection_status", uint64(4), uint8(3))
	o.fails(ceph.ENOENT, "set_protection_status", uint64(5), uint8(protected))
	o.ok("set_protection_status", uint64(4), uint8(protected))
	o.fails(ceph.EBUSY, "snapshot_remove", uint64(4))
	o.fails(ceph.EBUSY, "snapshot_trash_add", uint64(4))
	o.ok("set_protection_status", uint64(4), uint8(unprotecting))
	o.fails(ceph.EBUSY, "snapshot_remove", uint64(4))
	o.ok("set_protection_status", uint64(4), uint8(unprotected))
	o.ok("snapshot_remove", uint64(4))
}

// TestTrashedSnapshot removes a snapshot that has a clone, by way of the trash.
func TestTrashedSnapshot(t *testing.T) {
	o := newHeader(t, featureLayering)
	o.ok("snapshot_add", "a", uint64(4))
	clone := clstest.Struct(2, int64(1), "x", "")
	o.ok("child_attach", uint64(4), clone)
	o.fails(ceph.EBUSY, "snapshot_remove", uint64(4))
	o.ok("snapshot_trash_add", uint64(4))
	o.fails(ceph.EEXIST, "snapshot_trash_add", uint64(4))
	o.fails(ceph.EINVAL, "snapshot_rename", uint64(4), "b")
	o.fails(ceph.ENOENT, "child_attach", uint64(4), clstest.Struct(2, int64(1), "y", ""))
	o.gives(out(opCloneParent|opSnapTrash), "op_features_get")
	d := denc.NewDecoder(o.ok("snapshot_get", uint64(4)))
	d.Begin(1)
	d.U64()
	if n, name := decodeNamespace(d), d.Str(); n != (namespace{snapTrash, "a", snapUser}) || len(name) != 36 {
		t.Fatalf("%+v, %q", n, name)
	}
	o.ok("snapshot_add", "a", uint64(5)) // the name is free again
	o.fails(ceph.EBUSY, "snapshot_remove", uint64(4))
	o.ok("child_detach", uint64(4), clone)
	o.ok("snapshot_remove", uint64(4))
	o.gives(out(uint64(0)), "op_features_get")
	o.gives(out(featureLayering, featureLayering), "get_features", head, false)
}

// TestOldFormat reads what clusters before Nautilus wrote, and damage.
func TestOldFormat(t *testing.T) {
	o := newHeader(t, featureLayering)
	o.Omap(map[string][]byte{"snapshot_0000000000000004": clstest.Struct(7, uint64(4), "a", uint64(1))})
	o.fails(ceph.EIO, "snapshot_get", uint64(4))
	o.fails(ceph.EIO, "snapshot_add", "b", uint64(5))
	o.Omap(map[string][]byte{"parent": clstest.Struct(1, int64(1), "x", uint64(4), uint64(5)), "size": {1}, "snapshot_x": nil})
	o.fails(ceph.EIO, "parent_get")
	o.fails(ceph.EIO, "get_size", head)
	o.fails(ceph.EIO, "get_snapcontext")
}
