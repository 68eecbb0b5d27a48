package layout

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestColdCRC(t *testing.T) {
	p := make([]byte, 2*BlockSize)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range p {
		p[i] = byte(rng.Uint32())
	}
	for _, n := range []int{0, 1, 63, 64, 65, BlockSize - 1, BlockSize, 2 * BlockSize} {
		if got, want := ColdCRC(p[:n]), CRC(p[:n]); got != want {
			t.Errorf("%d bytes: %08x, want %08x", n, got, want)
		}
	}
}

// BenchmarkCRC is the checksums of blocks that lie in a cache of the processor, or
// only in memory.
func BenchmarkCRC(b *testing.B) {
	for _, kib := range []int{4, 512, 256 << 10} {
		p := make([]byte, kib<<10)
		for i := range p {
			p[i] = byte(i * 7)
		}
		for name, crc := range map[string]func([]byte) uint32{"plain": CRC, "cold": ColdCRC} {
			b.Run(fmt.Sprintf("of=%dKiB/%s", kib, name), func(b *testing.B) {
				b.SetBytes(BlockSize)
				for at := 0; b.Loop(); at = (at + BlockSize) % len(p) {
					crc(p[at : at+BlockSize])
				}
			})
		}
	}
}
