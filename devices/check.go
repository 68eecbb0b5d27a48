package devices

import (
	"fmt"
	"unsafe"
)

// Check returns ErrRange, saying what is wrong, unless v is memory for an I/O
// from block b onward: one whole aligned block or more in every slice, and all
// of it inside the device. Every Device calls it before it does anything.
func (g *Geometry) Check(b Block, v Vec) error {
	n := 0
	for _, p := range v {
		if len(p) == 0 || len(p)%BlockSize != 0 {
			return fmt.Errorf("block %d: slice of %d bytes: %w", b, len(p), ErrRange)
		}
		if uintptr(unsafe.Pointer(unsafe.SliceData(p)))%BlockSize != 0 {
			return fmt.Errorf("block %d: memory at %p not aligned to %d: %w", b, p, BlockSize, ErrRange)
		}
		n += len(p)
	}
	return g.CheckBlocks(b, uint64(n/BlockSize))
}

// CheckBlocks returns ErrRange unless blocks [b, b+n) are at least one and all
// inside the device.
func (g *Geometry) CheckBlocks(b Block, n uint64) error {
	if n == 0 || uint64(b) >= g.Blocks || n > g.Blocks-uint64(b) {
		return fmt.Errorf("blocks %d~%d of %d: %w", b, n, g.Blocks, ErrRange)
	}
	return nil
}

// vecBlocks returns the number of whole blocks in v.
func vecBlocks(v Vec) uint64 { return uint64(VecBytes(v) / BlockSize) }
