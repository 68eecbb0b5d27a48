package ebofs

import (
	"fmt"
	"sync/atomic"
)

// Purpose is what bytes are written for. Each byte a store writes counts under
// exactly one, so that together they are what its devices have seen; mkfs comes
// before there is a store.
type Purpose uint8

const (
	WriteDirect  Purpose = iota // data of callers, straight to its place
	WriteLog                    // records with their framing
	WriteFold                   // journaled data, packed
	WriteTree                   // nodes, whole
	WriteValue                  // long values of attributes and omaps
	WriteSpace                  // zone bitmaps, zone tables, root records
	WriteClean                  // what is moved to empty a stripe
	WritePadding                // zeros: ends of log batches, of objects, of values, of stripes
	WriteSuper                  // superblocks, labels, and what a grow zeroes for them
	Purposes                    // how many there are
)

var purposes = [Purposes]string{"direct", "log", "fold", "tree", "value", "space", "cleaning", "padding", "super"}

// String is the purpose's name in metrics.
func (p Purpose) String() string {
	if p < Purposes {
		return purposes[p]
	}
	return fmt.Sprintf("purpose %d", uint8(p))
}

// Written is bytes written, by Purpose.
type Written [Purposes]int64

// Total is what the devices saw.
func (w Written) Total() (n int64) {
	for _, m := range w {
		n += m
	}
	return n
}

// Sub returns what was written since before.
func (w Written) Sub(before Written) Written {
	for p := range w {
		w[p] -= before[p]
	}
	return w
}

// Add returns the sum of both.
func (w Written) Add(v Written) Written {
	for p := range w {
		w[p] += v[p]
	}
	return w
}

// written counts bytes by purpose. What the log writes it counts itself.
type written [Purposes]atomic.Int64

// add counts n bytes of which only used are for a purpose and the rest is padding.
func (w *written) add(as Purpose, n, used int) {
	w[as].Add(int64(used))
	if n > used {
		w[WritePadding].Add(int64(n - used))
	}
}
