package rbd

import (
	"math/bits"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// Keys of a header.
const (
	keySize        = "size"          // u64
	keyOrder       = "order"         // u8: objects have 2^order bytes
	keyPrefix      = "object_prefix" // string
	keyFeatures    = "features"      // u64
	keyOpFeatures  = "op_features"   // u64; missing: 0
	keyFlags       = "flags"         // u64; missing: 0
	keyDataPool    = "data_pool_id"  // s64; missing: the header's
	keyStripeUnit  = "stripe_unit"   // u64; missing: an object
	keyStripeCount = "stripe_count"  // u64; missing: 1
	keyCreated     = "create_timestamp"
	keyAccessed    = "access_timestamp"
	keyModified    = "modify_timestamp"
)

// noPool is the id of a pool that is not given.
const noPool = -1

// image is what create takes.
type image struct {
	size     uint64
	order    uint8
	features uint64
	prefix   string
	dataPool int64
}

func decodeImage(d *denc.Decoder) image {
	i := image{size: d.U64(), order: d.U8(), features: d.U64(), prefix: d.Str(), dataPool: noPool}
	if d.Left() > 0 {
		i.dataPool = d.I64()
	}
	return i
}

// create makes the header of a new image.
func create(c cls.Context, i image) error {
	switch there, err := has(c, keyPrefix); {
	case err != nil:
		return err
	case i.features&^featuresAll != 0:
		return ceph.ENOSYS
	case i.prefix == "", i.features&featureOperations != 0:
		return ceph.EINVAL
	case there:
		return ceph.EEXIST
	case i.features&featureDataPool != 0 && i.dataPool == noPool, i.features&featureDataPool == 0 && i.dataPool != noPool:
		return ceph.EINVAL
	}
	encoded := func(do func(*denc.Encoder)) []byte {
		var e denc.Encoder
		do(&e)
		return e.Bytes()
	}
	now := encoded(c.Now().Encode)
	kv := map[string][]byte{
		keySize:     encoded(func(e *denc.Encoder) { e.U64(i.size) }),
		keyOrder:    {i.order},
		keyFeatures: encoded(func(e *denc.Encoder) { e.U64(i.features) }),
		keyPrefix:   encoded(func(e *denc.Encoder) { e.Str(i.prefix) }),
		keySnapSeq:  make([]byte, 8),
		keyCreated:  now, keyAccessed: now, keyModified: now,
	}
	if i.dataPool != noPool {
		kv[keyDataPool] = encoded(func(e *denc.Encoder) { e.I64(i.dataPool) })
	}
	return c.OmapSet(kv)
}

// getSize returns order and size of the head or of a snapshot.
func getSize(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	order, err := get(c, keyOrder, (*denc.Decoder).U8)
	if err != nil {
		return err
	}
	var size uint64
	if id == ceph.NoSnap {
		size, err = get(c, keySize, u64)
	} else {
		var s snapshot
		s, err = loadSnapshot(c, id)
		size = s.size
	}
	out.U8(order)
	out.U64(size)
	return err
}

// setSize changes the size of the head. Shrunk, it overlaps no more of its parent
// than is left, for ever.
func setSize(c cls.Context, size uint64) error {
	old, err := get(c, keySize, u64)
	if err != nil {
		return err
	}
	if err := putU64(c, keySize, size); err != nil || size >= old {
		return err
	}
	p, err := loadParent(c)
	if err != nil || p.overlap == nil || *p.overlap <= size {
		return err
	}
	p.overlap = &size
	return p.store(c)
}

func getObjectPrefix(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	prefix, err := get(c, keyPrefix, str)
	out.Str(prefix)
	return err
}

// masked is bits and which of them count.
type masked struct{ bits, mask uint64 }

func decodeMasked(d *denc.Decoder) masked { return masked{d.U64(), d.U64()} }

// in returns old with the bits that count.
func (m masked) in(old uint64) uint64 { return old&^m.mask | m.bits&m.mask }

func getFlags(c cls.Context, id ceph.SnapID, out *denc.Encoder) error {
	var flags uint64
	var err error
	if id == ceph.NoSnap {
		flags, err = getOr(c, keyFlags, u64, 0)
	} else {
		var s snapshot
		s, err = loadSnapshot(c, id)
		flags = s.flags
	}
	out.U64(flags)
	return err
}

// newFlags is flags for the head or a snapshot.
type newFlags struct {
	masked
	snap ceph.SnapID
}

func decodeFlags(d *denc.Decoder) newFlags {
	f := newFlags{decodeMasked(d), ceph.NoSnap}
	if d.Left() > 0 {
		f.snap = snapID(d)
	}
	return f
}

func setFlags(c cls.Context, f newFlags) error {
	if f.snap != ceph.NoSnap {
		s, err := loadSnapshot(c, f.snap)
		if err != nil {
			return err
		}
		s.flags = f.in(s.flags)
		return s.store(c)
	}
	if err := must(c); err != nil {
		return err
	}
	old, err := getOr(c, keyFlags, u64, 0)
	if err != nil {
		return err
	}
	return putU64(c, keyFlags, f.in(old))
}

func getDataPool(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	pool, err := getOr(c, keyDataPool, (*denc.Decoder).I64, noPool)
	out.I64(pool)
	return err
}

// striping is how data is spread over objects.
type striping struct{ unit, count uint64 }

func decodeStriping(d *denc.Decoder) striping { return striping{d.U64(), d.U64()} }

func getStriping(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
	if err := needs(c, featureStriping); err != nil {
		return err
	}
	order, err := get(c, keyOrder, (*denc.Decoder).U8)
	if err != nil {
		return err
	}
	unit, err := getOr(c, keyStripeUnit, u64, 1<<order)
	if err != nil {
		return err
	}
	count, err := getOr(c, keyStripeCount, u64, 1)
	out.U64(unit)
	out.U64(count)
	return err
}

func setStriping(c cls.Context, s striping) error {
	if s.unit == 0 || s.count == 0 {
		return ceph.EINVAL
	}
	if err := needs(c, featureStriping); err != nil {
		return err
	}
	order, err := get(c, keyOrder, (*denc.Decoder).U8)
	if err != nil {
		return err
	}
	if bits.OnesCount64(s.unit) != 1 || bits.TrailingZeros64(s.unit) > int(order) {
		return ceph.EINVAL // an object is a whole number of units
	}
	if err := putU64(c, keyStripeUnit, s.unit); err != nil {
		return err
	}
	return putU64(c, keyStripeCount, s.count)
}

// getTime returns the method that answers a time; "never" if there is none.
func getTime(key string) func(cls.Context, cls.Nothing, *denc.Encoder) error {
	return func(c cls.Context, _ cls.Nothing, out *denc.Encoder) error {
		t, err := getOr(c, key, ceph.DecodeTime, ceph.Time{})
		t.Encode(out)
		return err
	}
}

// setTime returns the method that stores the current time.
func setTime(key string) func(cls.Context, cls.Nothing) error {
	return func(c cls.Context, _ cls.Nothing) error {
		if err := must(c); err != nil {
			return err
		}
		return put(c, key, c.Now(), func(e *denc.Encoder, t ceph.Time) { t.Encode(e) })
	}
}
