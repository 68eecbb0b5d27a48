//go:build race

package devices

// arenaBytes is small here: heap memory is zeroed when taken.
const arenaBytes = 4 << 20

// KeepArenas keeps nothing: arenas are heap memory.
func KeepArenas(int) {}

// mapArena returns heap memory: the race detector sees no other.
func mapArena(g grain) (mapping, bool) { return mapping{grain: g, mem: heapAligned(arenaBytes)}, true }

func (m *mapping) unmap() error { return nil }

func dontNeed([]byte) {}

// InHugeFrame is false: no frame is.
func InHugeFrame([]byte) bool { return false }

// poison overwrites a frame nobody refers to, so that whoever still reads it
// gets wrong bytes, and the race detector sees a write.
func (f *Frame) poison() {
	p := f.vec[0]
	for n := copy(p, "\xdb\xdb\xdb\xdb\xdb\xdb\xdb\xdb"); n < len(p); n *= 2 {
		copy(p[n:], p[:n]) // the detector takes a copy as one access
	}
}
