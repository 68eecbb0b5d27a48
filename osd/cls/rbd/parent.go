package rbd

import (
	"errors"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// keyParent is the key of a header about what it is a clone of.
const keyParent = "parent"

// parentSpec names a snapshot of an image that has clones. (ParentImageSpec)
type parentSpec struct {
	pool      int64
	namespace string
	image     string
	snap      ceph.SnapID
}

var noParent = parentSpec{pool: noPool, snap: ceph.NoSnap}

func (s parentSpec) valid() bool { return s.pool >= 0 && s.image != "" && s.snap != ceph.NoSnap }

func (s parentSpec) encodeFields(e *denc.Encoder) {
	e.I64(s.pool)
	e.Str(s.namespace)
	e.Str(s.image)
	e.U64(uint64(s.snap))
}

func decodeParentFields(d *denc.Decoder) parentSpec {
	return parentSpec{d.I64(), d.Str(), d.Str(), snapID(d)}
}

// parent is a parent and how much of it the head shows. (cls_rbd_parent, v2)
type parent struct {
	parentSpec
	overlap *uint64 // nil: the head has been flattened, only snapshots show it
}

func (p parent) exists() bool { return p.valid() }

func decodeParent(d *denc.Decoder) parent {
	s := d.Begin(2)
	if s.Version < 2 {
		d.Failf("parent v%d", s.Version)
	}
	p := parent{decodeParentFields(d), optional(d)}
	d.End(s)
	return p
}

// loadParent returns the parent of an image; one that does not exist if it has
// none.
func loadParent(c cls.Context) (parent, error) {
	return getOr(c, keyParent, decodeParent, parent{parentSpec: noParent})
}

func (p parent) store(c cls.Context) error {
	return put(c, keyParent, p, func(e *denc.Encoder, p parent) {
		m := e.Begin(2, 2)
		p.encodeFields(e)
		putOptional(e, p.overlap)
		e.End(m)
	})
}

func getParent(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	p, err := loadParent(c)
	m := out.Begin(1, 1)
	p.encodeFields(out)
	out.End(m)
	return err
}

// getOverlap returns how much of the parent the head or a snapshot shows.
func getOverlap(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	p, err := loadParent(c)
	if err != nil {
		return err
	}
	overlap := p.overlap
	if id != ceph.NoSnap {
		s, err := loadSnapshot(c, id)
		if err != nil {
			return err
		}
		overlap = s.overlap
	}
	putOptional(out, overlap)
	return nil
}

// attach is a parent for an image.
type attach struct {
	spec    parentSpec
	overlap uint64
	again   bool // instead of the parent there is
}

func decodeAttach(d *denc.Decoder) attach {
	s := d.Begin(1)
	a := attach{spec: decodeParentFields(d)}
	d.End(s)
	a.overlap = d.U64()
	a.again = d.Left() > 0 && d.U8() != 0
	return a
}

// attachParent makes an image a clone. One that only its snapshots show may be
// attached once more.
func attachParent(c cls.Context, a attach) error {
	if err := must(c); err != nil {
		return err
	}
	if err := needs(c, featureLayering); err != nil {
		return err
	}
	if !a.spec.valid() || a.overlap == 0 {
		return ceph.EINVAL
	}
	old, err := loadParent(c)
	if err != nil {
		return err
	}
	if old.exists() && !a.again && (old.overlap != nil || old.parentSpec != a.spec) {
		return ceph.EEXIST
	}
	size, err := get(c, keySize, u64)
	if err != nil {
		return err
	}
	overlap := min(size, a.overlap)
	return parent{a.spec, &overlap}.store(c)
}

// detachParent ends that the head shows its parent. Snapshots go on showing it,
// but those of an image that flattens them with the head.
func detachParent(c cls.Context, _ cls.Nothing) error {
	if err := must(c); err != nil {
		return err
	}
	if err := needs(c, featureLayering); err != nil {
		return err
	}
	p, err := loadParent(c)
	switch {
	case err != nil:
		return err
	case p.overlap == nil:
		return ceph.ENOENT
	}
	all, err := snapshots(c)
	if err != nil {
		return err
	}
	switch err := needs(c, featureDeepFlatten); {
	case err == nil:
		for i := range all {
			if s := &all[i]; s.overlap != nil {
				s.overlap = nil
				if err := s.store(c); err != nil {
					return err
				}
			}
		}
	case !errors.Is(err, ceph.ENOEXEC):
		return err
	}
	if anyOverlap(all) {
		p.overlap = nil
		return p.store(c)
	}
	if err := c.OmapRm(keyParent); err != nil {
		return err
	}
	return setOpFeatures(c, masked{0, opCloneChild})
}
