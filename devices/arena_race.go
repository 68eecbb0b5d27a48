//go:build race

package devices

// Both are small here: heap memory is zeroed when taken.
const (
	arenaBytes = 4 << 20
	hugeBytes  = 2 << 20
)

// KeepArenas keeps nothing: arenas are heap memory.
func KeepArenas(int) {}

// mapArena returns heap memory: the race detector sees no other.
func mapArena() (mapping, bool) { return mapping{mem: heapAligned(arenaBytes)}, true }

func (m *mapping) unmap() error { return nil }

func dontNeed([]byte) {}

func touch([]byte) {}

// InFrame is false: no frame is.
func InFrame([]byte) bool { return false }

// poison overwrites a frame nobody refers to, so that whoever still reads it
// gets wrong bytes, and the race detector sees a write.
func (f *Frame) poison() {
	p := f.vec[0]
	for n := copy(p, "\xdb\xdb\xdb\xdb\xdb\xdb\xdb\xdb"); n < len(p); n *= 2 {
		copy(p[n:], p[:n]) // the detector takes a copy as one access
	}
}
