package datacache

import (
	"bytes"
	"testing"

	"ebofs/devices"

	"github.com/dgraph-io/ristretto/v2"
)

// ristrettoCache is the same cache on ristretto, for the comparison in
// docs/decisions/data-cache.md. Its values are copies on the heap: they cannot
// be frames, for an evicted value may still be read by somebody who got it.
type ristrettoCache struct {
	c *ristretto.Cache[uint64, *ristrettoBlock]
}

type ristrettoBlock struct {
	crc  uint32
	data [devices.BlockSize]byte
}

func newRistretto(t testing.TB, budget int64) *ristrettoCache {
	blocks := budget / devices.BlockSize
	c, err := ristretto.NewCache(&ristretto.Config[uint64, *ristrettoBlock]{
		NumCounters: 10 * blocks, // as its documentation advises
		MaxCost:     blocks,
		BufferItems: 64, // likewise
		// Blocks are all alike, so count them; the ~100 bytes it keeps with each
		// are not charged to it.
		IgnoreInternalCost: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	r := &ristrettoCache{c}
	t.Cleanup(r.Close)
	return r
}

func (r *ristrettoCache) Get(addr uint64, crc uint32, off int, dst []byte) bool {
	if off < 0 || off > devices.BlockSize || len(dst) > devices.BlockSize-off {
		return false
	}
	b, ok := r.c.Get(addr)
	if !ok || b.crc != crc {
		return false
	}
	copy(dst, b.data[off:])
	return true
}

func (r *ristrettoCache) Put(addr uint64, crc uint32, block []byte) {
	b := &ristrettoBlock{crc: crc}
	copy(b.data[:], block)
	r.c.Set(addr, b, 1)
}

func (r *ristrettoCache) Drop(addr uint64, blocks int) {
	for i := range uint64(max(blocks, 0)) {
		r.c.Del(addr + i)
	}
}

func (r *ristrettoCache) Close() { r.c.Close() }

// TestSameContract runs the part of the contract both caches keep, so that the
// benchmarks compare like with like. Ristretto may refuse any Put.
func TestSameContract(t *testing.T) {
	for name, c := range map[string]cache{"clock": newCache(t, 4<<20), "ristretto": newRistretto(t, 4<<20)} {
		t.Run(name, func(t *testing.T) {
			b, got := make([]byte, devices.BlockSize), make([]byte, devices.BlockSize)
			hits := 0
			for try := range uint64(3) {
				for addr := range uint64(500) {
					crc := fill(b, addr, try)
					c.Put(addr, crc, b)
				}
				if r, ok := c.(*ristrettoCache); ok {
					r.c.Wait()
				}
				for addr := range uint64(500) {
					crc := fill(b, addr, try)
					if c.Get(addr, crc+1, 0, got) {
						t.Fatalf("block %d hits with another CRC", addr)
					}
					if c.Get(addr, crc, 96, got[:1000]) {
						hits++
						if !bytes.Equal(got[:1000], b[96:1096]) {
							t.Fatalf("block %d is wrong", addr)
						}
					}
				}
			}
			c.Drop(0, 500)
			if hits == 0 || c.Get(1, fill(b, 1, 2), 0, got) {
				t.Errorf("%d hits, dropped block there", hits)
			}
		})
	}
}
