package ebofs

import (
	"sync/atomic"

	"ebofs/devices"
)

// detourFrom is how long an I/O is at least for which a detour is quicker.
const detourFrom = 64 << 10

// detours are reads and writes of the caller's memory by way of frames on huge pages:
// what was read is copied as it is verified, what is written before it is. Of ordinary
// pages the kernel and the device make a segment of each, which costs more than the
// copy: docs/decisions/huge-pages.md.
type detours struct {
	most int64 // bytes under way
	now  atomic.Int64
}

// take reports whether I/O of p makes a detour now; then give is called after it.
func (d *detours) take(p []byte) bool {
	n := int64(len(p))
	if n < detourFrom || devices.OnHugePages(p) {
		return false
	}
	if d.now.Add(n) > d.most {
		d.now.Add(-n)
		return false
	}
	return true
}

func (d *detours) give(n uint64) { d.now.Add(-int64(n)) }

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
