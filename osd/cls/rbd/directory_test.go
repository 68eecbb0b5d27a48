package rbd

import (
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/osd/cls/clstest"
)

func TestDirectory(t *testing.T) {
	o := newObject(t)
	o.fails(ceph.ENOENT, "dir_list", "", uint64(10))
	o.fails(ceph.ENOENT, "dir_remove_image", "a", "1")
	o.fails(ceph.EINVAL, "dir_add_image", "", "1")
	o.fails(ceph.EINVAL, "dir_add_image", "a", "no id")
	o.ok("dir_add_image", "a", "1")
	o.ok("dir_add_image", "b", "2")
	o.fails(ceph.EEXIST, "dir_add_image", "a", "3")
	o.fails(ceph.EBADF, "dir_add_image", "c", "1")
	o.gives(out("1"), "dir_get_id", "a")
	o.gives(out("b"), "dir_get_name", "2")
	o.fails(ceph.ENOENT, "dir_get_id", "c")
	o.fails(ceph.ENOENT, "dir_get_name", "3")
	o.gives(out(uint32(2), "a", "1", "b", "2"), "dir_list", "", uint64(10))
	o.gives(out(uint32(1), "a", "1"), "dir_list", "", uint64(1))
	o.gives(out(uint32(1), "b", "2"), "dir_list", "a", uint64(10))
	o.gives(out(uint32(0)), "dir_list", "", uint64(0))

	o.fails(ceph.ESTALE, "dir_remove_image", "a", "2")
	o.fails(ceph.EEXIST, "dir_rename_image", "a", "b", "1")
	o.gives(out("1"), "dir_get_id", "a") // nothing half done
	o.ok("dir_rename_image", "a", "c", "1")
	o.gives(out("c"), "dir_get_name", "1")
	o.fails(ceph.ENOENT, "dir_get_id", "a")
	o.ok("dir_remove_image", "c", "1")
	o.gives(out(uint32(1), "b", "2"), "dir_list", "", uint64(10))
}

func TestTrash(t *testing.T) {
	o := newObject(t)
	when := ceph.Time{Sec: 5}
	spec := func(state uint8) clstest.Raw { return clstest.Struct(2, uint8(3), "a", when, when, state) }
	o.fails(ceph.ENOENT, "trash_get", "1")
	o.ok("trash_add", "1", spec(1))
	o.fails(ceph.EEXIST, "trash_add", "1", spec(1))
	o.ok("trash_add", "2", clstest.Struct(1, uint8(0), "b", when, when)) // of an older client
	o.gives(out(spec(1)), "trash_get", "1")
	o.gives(out(uint32(1), "1", spec(1)), "trash_list", "", uint64(1))
	o.gives(out(uint32(1), "2", clstest.Struct(2, uint8(0), "b", when, when, uint8(0))), "trash_list", "1", uint64(9))
	o.fails(ceph.ESTALE, "trash_state_set", "1", uint8(0), uint8(2))
	o.fails(ceph.ENOENT, "trash_state_set", "3", uint8(0), uint8(1))
	o.ok("trash_state_set", "1", uint8(0), uint8(1))
	o.ok("trash_state_set", "1", uint8(0), uint8(1)) // once more: it is so already
	o.gives(out(spec(0)), "trash_get", "1")
	o.ok("trash_remove", "1")
	o.fails(ceph.ENOENT, "trash_get", "1")
}
