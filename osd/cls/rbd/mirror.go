package rbd

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// noMirroring answers what a pool without mirroring does.
func noMirroring(cls.Context, cls.Nothing, *denc.Encoder) error { return ceph.ENOENT }

// noMirrorImage says that an image is not mirrored.
func noMirrorImage(cls.Context, cls.Nothing) error { return ceph.ENOENT }

// getGroup says that an image is in no group. (GroupSpec: pool, id)
func getGroup(_ cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	m := out.Begin(1, 1)
	out.I64(noPool)
	out.Str("")
	out.End(m)
	return nil
}
