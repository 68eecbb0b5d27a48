package ebofs

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// BenchmarkEvict makes room in a full table for one onode after another, where so many of
// a hundred wait for a checkpoint.
func BenchmarkEvict(b *testing.B) {
	for _, dirty := range []int{0, 50, 90} {
		b.Run(fmt.Sprint("dirty=", dirty), func(b *testing.B) {
			var t onodeTable
			const limit = 1 << 16
			t.init(limit)
			key := make([]byte, 64)
			n := uint64(0)
			one := func() {
				n++
				binary.LittleEndian.PutUint64(key, n)
				if o, _ := t.get(key); int(n%100) >= dirty || n > 8*limit {
					o.refs.Add(-1)
				}
			}
			for range limit {
				one()
			}
			n = 8 * limit // what comes is clean
			b.ResetTimer()
			for range b.N {
				one()
			}
		})
	}
}
