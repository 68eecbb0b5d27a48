package layout

import (
	"fmt"
	"math/bits"
)

// CollRange says which objects a collection holds: those of one shard and pool
// whose hash has Seed as its low Bits bits, and those of the pool's temporary
// twin, pool -2-Pool, likewise. Since hashes sort with their bits reversed, each is
// one range of object keys.
//
//	off len field   16 bytes, in a Cnode
//	  0   1 shard   int8
//	  1   1 bits    0..32
//	  2   2 reserved, zero
//	  4   4 seed    below 2^bits
//	  8   8 pool    int64, ≥ -1
type CollRange struct {
	Shard int8
	Pool  int64
	Bits  uint8
	Seed  uint32
}

// Check returns ErrInvalid for a range that cannot be.
func (c CollRange) Check() error {
	if c.Bits > 32 || uint64(c.Seed)>>c.Bits != 0 {
		return fmt.Errorf("collection range: seed %x has more than %d bits: %w", c.Seed, c.Bits, ErrInvalid)
	}
	if c.Pool < -1 {
		return fmt.Errorf("collection range: pool %d below -1: %w", c.Pool, ErrInvalid)
	}
	return nil
}

// TempPool returns the pool of temporary objects; ok is false for pool -1, which
// has none.
func (c CollRange) TempPool() (pool int64, ok bool) { return -2 - c.Pool, c.Pool >= 0 }

// match reports whether a hash belongs to the range.
func (c CollRange) match(hash uint32) bool {
	return uint64(hash)&(1<<c.Bits-1) == uint64(c.Seed)
}

// Contains reports whether an object belongs to the collection.
func (c CollRange) Contains(o *ObjectKey) bool {
	if o.Shard != c.Shard || !c.match(o.Hash) {
		return false
	}
	t, ok := c.TempPool()
	return o.Pool == c.Pool || ok && o.Pool == t
}

// Bounds returns the keys [lo, hi) of the collection's lasting objects.
func (c CollRange) Bounds() (lo, hi []byte) { return c.bounds(c.Pool) }

// TempBounds returns the keys [lo, hi) of its temporary objects, which sort before
// the lasting ones; nil and nil if there are none.
func (c CollRange) TempBounds() (lo, hi []byte) {
	p, ok := c.TempPool()
	if !ok {
		return nil, nil
	}
	return c.bounds(p)
}

// bounds never overflows: the shard byte is below 255 for every shard but 127, and
// there the pool is below its maximum or the hash below its own; the one range that
// ends at the end of all keys gets hi = nil, "unbounded".
func (c CollRange) bounds(pool int64) (lo, hi []byte) {
	first := bits.Reverse32(c.Seed)
	lo = appendRangeKey(make([]byte, 0, keyFixed), c.Shard, pool, first)
	if end := uint64(first) + 1<<(32-c.Bits); end>>32 == 0 {
		return lo, appendRangeKey(make([]byte, 0, keyFixed), c.Shard, pool, uint32(end))
	}
	hi = append(make([]byte, 0, keyFixed), lo[:keyFixed-4]...)
	for i := len(hi) - 1; i >= 0; i-- {
		if hi[i]++; hi[i] != 0 {
			return lo, append(hi, 0, 0, 0, 0)
		}
	}
	return lo, nil
}

// Covers reports whether every object of d belongs to c.
func (c CollRange) Covers(d CollRange) bool {
	return c.Shard == d.Shard && c.Pool == d.Pool && c.Bits <= d.Bits && c.match(d.Seed)
}

// Overlaps reports whether an object could belong to both.
func (c CollRange) Overlaps(d CollRange) bool { return c.Covers(d) || d.Covers(c) }

// Split returns the two halves by the next hash bit: c with that bit clear, and
// with it set.
func (c CollRange) Split() (zero, one CollRange, ok bool) {
	if c.Bits >= 32 {
		return c, c, false
	}
	zero, one = c, c
	zero.Bits, one.Bits = c.Bits+1, c.Bits+1
	one.Seed |= 1 << c.Bits
	return zero, one, true
}

// String returns "pool[sSHARD]/seed/bits".
func (c CollRange) String() string {
	s := fmt.Sprint(c.Pool)
	if c.Shard != NoShard {
		s += fmt.Sprintf("s%d", c.Shard)
	}
	return fmt.Sprintf("%s/%x/%d", s, c.Seed, c.Bits)
}

func putCollRange(p []byte, c CollRange) {
	p[0], p[1], p[2], p[3] = uint8(c.Shard), c.Bits, 0, 0
	le.PutUint32(p[4:], c.Seed)
	le.PutUint64(p[8:], uint64(c.Pool))
}

func getCollRange(p []byte) CollRange {
	return CollRange{Shard: int8(p[0]), Bits: p[1], Seed: le.Uint32(p[4:]), Pool: int64(le.Uint64(p[8:]))}
}
