package rbd

import (
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// validID reports whether id may be the id of an image: letters and digits.
func validID(id string) bool {
	return id != "" && strings.IndexFunc(id, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) < 0
}

// getID returns the id of the image after whose name the object is called.
func getID(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	p, err := c.Read(0, 0)
	if err != nil {
		return err
	}
	if len(p) == 0 {
		return ceph.ENOENT
	}
	id, err := stored(p, str)
	out.Str(id)
	return err
}

// setID gives it an id; it has to be there, and empty.
func setID(c cls.Context, id string) error {
	if !validID(id) {
		return ceph.EINVAL
	}
	size, _, err := c.Stat()
	switch {
	case err != nil:
		return err
	case size > 0:
		return ceph.EEXIST
	}
	var e denc.Encoder
	e.Str(id)
	return c.WriteFull(e.Bytes())
}
