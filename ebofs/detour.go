package ebofs

import (
	"math/bits"
	"sync/atomic"

	"ebofs/devices"
)

const (
	// A detour is quicker for I/O of detourFrom bytes and more. Of more than detourTo
	// the copy would keep the device waiting.
	detourFrom = 64 << 10
	detourTo   = 8 << 20
	// leastDetours is how many bytes may be on a detour at least: what a pool keeps.
	leastDetours = 16 << 20
)

// detours are reads and writes of the caller's memory by way of frames on huge pages:
// what was read is copied as it is verified, what is written before it is. Of ordinary
// pages the kernel and the device make a segment of each, which costs more than the
// copy: docs/decisions/huge-pages.md.
type detours struct {
	most int64        // bytes of frames under way
	now  atomic.Int64 // of them
	made atomic.Int64 // since the store was opened
}

func (d *detours) init(most int64) {
	if devices.HugePages() {
		d.most = max(most, leastDetours)
	}
}

// take reports whether I/O of p makes a detour now; then give is called after it.
func (d *detours) take(p []byte) bool {
	if d.most == 0 || len(p) < detourFrom || len(p) > detourTo || devices.InFrame(p) {
		return false
	}
	n := frameBytes(len(p))
	if d.now.Add(n) > d.most {
		d.now.Add(-n)
		return false
	}
	d.made.Add(1)
	return true
}

func (d *detours) give(n int) { d.now.Add(-frameBytes(n)) }

// frameBytes returns the memory of the frames that hold n bytes.
func frameBytes(n int) int64 {
	whole, rest := n/runBytes*runBytes, n%runBytes
	if rest > 0 {
		rest = 1 << bits.Len(uint(rest-1))
	}
	return int64(whole + rest)
}

// onHugePages returns a copy of data, whole blocks, in frames; release gives them back.
func (s *Store) onHugePages(data []byte) (v devices.Vec, release func()) {
	var frames []*devices.Frame
	for len(data) > 0 {
		f := s.pool.Get(min(len(data), runBytes))
		data = data[copy(f.Bytes(), data):]
		frames, v = append(frames, f), append(v, f.Bytes())
	}
	return v, func() {
		for _, f := range frames {
			f.Release()
		}
	}
}
