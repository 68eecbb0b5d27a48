package frame

import (
	"math/bits"
	"sync"
)

// Bodies from 1 KiB to 8 MiB come in powers of two from these pools. Smaller
// ones the runtime allocates as fast; larger ones are too rare to be kept.
const (
	minClass = 10
	maxClass = 23
)

var pools [maxClass + 1]sync.Pool

// Buffer is the memory of a body.
type Buffer struct {
	mem   []byte
	class int // 0: not from a pool
}

func newBuffer(n int) *Buffer {
	class := bits.Len(uint(max(n, 1) - 1))
	if class < minClass || class > maxClass {
		return &Buffer{mem: make([]byte, n)}
	}
	if b, _ := pools[class].Get().(*Buffer); b != nil {
		return b
	}
	return &Buffer{mem: make([]byte, 1<<class), class: class}
}

// Free gives the memory back. Nobody may look at it any more; who is not sure
// lets the collector have it instead.
func (b *Buffer) Free() {
	if b != nil && b.class != 0 {
		pools[b.class].Put(b)
	}
}
