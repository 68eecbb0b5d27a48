package history

import (
	"bytes"
	"fmt"
	"math/rand/v2"

	"ebofs/osd"
)

// Random returns a transaction of one to three operations on objects that pick
// chooses, with arguments at the edges of what an engine may treat in another way.
// If the collections exist, no state of the objects makes a store refuse it, but
// for want of space. Its data names the version.
func Random(r *rand.Rand, version uint64, pick func(*rand.Rand) (osd.CollectionID, osd.ObjectID)) *osd.Transaction {
	t := new(osd.Transaction)
	for range 1 + r.IntN(3) {
		c, id := pick(r)
		off, n := edge(r), 1+edge(r)
		switch r.IntN(12) {
		case 0, 1, 2, 3:
			t.Write(c, id, off, Tagged(id, off, version, int(n)))
		case 4:
			t.Zero(c, id, off, n)
		case 5:
			t.Touch(c, id)
			t.Truncate(c, id, off)
		case 6:
			t.Touch(c, id)
			t.Remove(c, id)
		case 7:
			t.SetAttrs(c, id, Values("attr", 1+r.IntN(12), 20+r.IntN(400), version))
		case 8:
			t.OmapSet(c, id, Values("key", 1+r.IntN(60), 20+r.IntN(200), version))
		case 9, 10:
			d, to := pick(r)
			if d != c || to == id {
				t.Touch(c, id)
				continue
			}
			if r.IntN(2) == 0 {
				t.Touch(c, id)
				t.Clone(c, id, to)
				continue
			}
			t.Write(c, id, off+n-1, Tagged(id, off+n-1, version, 1)) // what is cloned must exist
			at := edge(r)
			if r.IntN(3) > 0 {
				at = at&^4095 | off&4095 // blocks can be shared
			}
			t.CloneRange(c, id, to, off, n, at)
		default:
			t.Touch(c, id)
			first := fmt.Sprintf("key%04d", r.IntN(60))
			t.OmapRmRange(c, id, first, first+"~")
		}
	}
	return t
}

// Values returns n names with values of the given length in bytes that name the
// version.
func Values(prefix string, n, length int, version uint64) map[string][]byte {
	m := make(map[string][]byte, n)
	for i := range n {
		v := fmt.Appendf(nil, "%d.%d.", version, i)
		m[fmt.Sprintf("%s%04d", prefix, i)] = append(v, bytes.Repeat([]byte{byte('a' + i%26)}, max(0, length-len(v)))...)
	}
	return m
}

// edge returns a number of bytes at or next to a boundary that an engine may care
// about: of a sector, inline data, a block, a stripe, a chunk.
func edge(r *rand.Rand) uint64 {
	units := []uint64{512, 2048, 4096, 64 << 10, 256 << 10}
	u := units[r.IntN(len(units))]
	n := u * uint64(r.IntN(4))
	if r.IntN(3) == 0 {
		n += uint64(r.IntN(3))
		n -= min(n, 1)
	}
	if r.IntN(5) == 0 {
		n += r.Uint64N(u)
	}
	return min(n, 600<<10)
}
