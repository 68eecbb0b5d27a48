package history

import (
	"encoding/binary"
	"hash/fnv"

	"ebofs/osd"
)

// sectorBytes is the unit that carries its origin: what a device may tear at.
const sectorBytes = 512

// Tagged returns n bytes to be written at byte off of an object. Every 512-byte
// sector of the object begins with a checksum of its name, its own number and the
// version given, and goes on with bytes drawn from these, so that a stale, torn
// or misplaced sector differs from what belongs there.
func Tagged(id osd.ObjectID, off, version uint64, n int) []byte {
	h := fnv.New64a()
	h.Write([]byte(id.Namespace))
	h.Write([]byte(id.Name))
	name := h.Sum64() ^ uint64(id.Pool)<<32 ^ uint64(id.Hash)

	first, end := off/sectorBytes, (off+uint64(n)+sectorBytes-1)/sectorBytes
	p := make([]byte, (end-first)*sectorBytes)
	for s := first; s < end; s++ {
		q := p[(s-first)*sectorBytes:][:sectorBytes]
		binary.LittleEndian.PutUint64(q[0:], name)
		binary.LittleEndian.PutUint64(q[8:], s)
		binary.LittleEndian.PutUint64(q[16:], version)
		x := name ^ s*0x9e3779b97f4a7c15 ^ version*0xd1342543de82ef95
		for i := 24; i < sectorBytes; i += 8 {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			binary.LittleEndian.PutUint64(q[i:], x|1) // never zero: a zeroed word is damage
		}
	}
	from := off - first*sectorBytes
	return p[from : from+uint64(n) : from+uint64(n)]
}
