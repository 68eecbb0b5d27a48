package crush

import "encoding/binary"

// NameHash is how a pool hashes the names of its objects.
type NameHash uint8

// The name hashes; their numbers are those in a pool's object_hash.
const (
	NameHashLinux    NameHash = 1 // of old pools
	NameHashRjenkins NameHash = 2
)

// Sum hashes name. ok is false if h is neither of the hashes there are.
func (h NameHash) Sum(name []byte) (sum uint32, ok bool) {
	switch h {
	case NameHashLinux:
		return sumLinux(name), true
	case NameHashRjenkins:
		return sumRjenkins(name), true
	}
	return 0, false
}

func sumLinux(name []byte) uint32 {
	var h uint64
	for _, c := range name {
		h = (h + uint64(c)<<4 + uint64(c)>>4) * 11
	}
	return uint32(h)
}

func sumRjenkins(name []byte) uint32 {
	const golden = 0x9e3779b9
	a, b, c := uint32(golden), uint32(golden), uint32(0)
	n := uint32(len(name))
	for ; len(name) >= 12; name = name[12:] {
		a += binary.LittleEndian.Uint32(name)
		b += binary.LittleEndian.Uint32(name[4:])
		c += binary.LittleEndian.Uint32(name[8:])
		a, b, c = mix3(mix2(mix1(a, b, c)))
	}
	// The lowest byte of c is the length's: its bytes of the tail start above it.
	c += n
	for i, v := range name {
		switch {
		case i < 4:
			a += uint32(v) << (8 * i)
		case i < 8:
			b += uint32(v) << (8 * (i - 4))
		default:
			c += uint32(v) << (8 * (i - 7))
		}
	}
	_, _, c = mix3(mix2(mix1(a, b, c)))
	return c
}
