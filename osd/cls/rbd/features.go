package rbd

import (
	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// Features of an image.
const (
	featureLayering uint64 = 1 << iota
	featureStriping
	featureExclusiveLock
	featureObjectMap
	featureFastDiff
	featureDeepFlatten
	featureJournaling
	featureDataPool
	featureOperations // the key op_features has some
	featureMigrating
	featureNonPrimary
	featureDirtyCache

	featuresAll = featureDirtyCache<<1 - 1
)

// What a client has to know to read an image, and to write it; what may be
// switched on and off, only off, and only by methods.
const (
	neededToRead  = featureLayering | featureStriping | featureDataPool | featureDirtyCache
	neededToWrite = neededToRead | featureExclusiveLock | featureObjectMap | featureFastDiff | featureDeepFlatten |
		featureJournaling | featureOperations | featureMigrating | featureNonPrimary
	mutable     = featureExclusiveLock | featureObjectMap | featureFastDiff | featureJournaling | featureNonPrimary | featureDirtyCache
	disableOnly = featureDeepFlatten
	internal    = featureOperations | featureMigrating
)

// Op features: uses of an image that old clients would break.
const (
	opCloneParent uint64 = 1 << iota
	opCloneChild
	opGroup
	opSnapTrash

	opFeaturesAll = opSnapTrash<<1 - 1
)

// needs returns ENOEXEC if an image does not have a feature.
func needs(c cls.Context, feature uint64) error {
	f, err := getOr(c, keyFeatures, u64, 0)
	if err == nil && f&feature == 0 {
		err = ceph.ENOEXEC
	}
	return err
}

// decodeOpenMode reads a snapshot, which does not matter, and whether the image
// is opened to be read only.
func decodeOpenMode(d *denc.Decoder) (readOnly bool) {
	snapID(d)
	return d.Left() > 0 && d.U8() != 0
}

func getFeatures(c cls.Context, readOnly bool, out *denc.Encoder) error {
	f, err := get(c, keyFeatures, u64)
	out.U64(f)
	if readOnly {
		out.U64(f & neededToRead)
	} else {
		out.U64(f & neededToWrite)
	}
	return err
}

func getAllFeatures(_ cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	out.U64(featuresAll)
	return nil
}

func setFeatures(c cls.Context, m masked) error {
	old, err := get(c, keyFeatures, u64)
	if err != nil {
		return err
	}
	if m.mask&internal != 0 {
		return ceph.EINVAL
	}
	m.mask &= featuresAll
	if m.bits&m.mask&^mutable != 0 || ^m.bits&m.mask&^(mutable|disableOnly) != 0 {
		return ceph.EINVAL
	}
	return putU64(c, keyFeatures, m.in(old))
}

func getOpFeatures(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	f, err := getOr(c, keyOpFeatures, u64, 0)
	out.U64(f)
	return err
}

// setOpFeatures changes op features; the feature operations says whether there
// are any.
func setOpFeatures(c cls.Context, m masked) error {
	if m.mask&^opFeaturesAll != 0 {
		return ceph.EINVAL
	}
	features, err := get(c, keyFeatures, u64)
	if err != nil {
		return err
	}
	old, err := getOr(c, keyOpFeatures, u64, 0)
	if err != nil {
		return err
	}
	f := m.in(old)
	switch {
	case f == old:
		return nil
	case f == 0:
		err = c.OmapRm(keyOpFeatures)
	default:
		err = putU64(c, keyOpFeatures, f)
	}
	if err != nil {
		return err
	}
	with := features | featureOperations
	if f == 0 {
		with = features &^ featureOperations
	}
	if with == features {
		return nil
	}
	return putU64(c, keyFeatures, with)
}
