package ebofs

import (
	"bytes"
	"testing"

	"ebofs/devices"
)

// TestDetours has long I/O of ordinary memory make a detour, as long as there is room
// for it, and that of frames on huge pages none.
func TestDetours(t *testing.T) {
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	frame := pool.Get(detourFrom)
	defer frame.Release()
	d := detours{most: 2*detourFrom + 1}
	p := make([]byte, 2*detourFrom)
	for _, c := range []struct {
		what string
		p    []byte
		want bool
	}{
		{"short", p[:detourFrom-1], false},
		{"more than is worth it", make([]byte, detourTo+1), false},
		{"a frame", frame.Bytes(), !devices.InFrame(frame.Bytes())}, // with the race detector frames are ordinary memory
		{"ordinary memory", p[:detourFrom], true},
		{"too much at once", p, false},
		{"the rest", p[:detourFrom], true},
	} {
		before := d.now.Load()
		if got := d.take(c.p); got != c.want {
			t.Errorf("%s: %v", c.what, got)
		} else if n := d.now.Load() - before; got && n != int64(len(c.p)) || !got && n != 0 {
			t.Errorf("%s: %d bytes more under way", c.what, n)
		} else if got && c.what == "a frame" {
			d.give(len(c.p))
		}
	}
}

// TestDetourCopies has data copied to frames of whole blocks.
func TestDetourCopies(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, quiet())
	defer closeStore(t, s)
	data := bytes.Repeat([]byte("not here"), (2*runBytes+3*blockSize)/8)
	v, release := s.onHugePages(data)
	defer release()
	if len(v) != 3 || len(v[0]) != runBytes || len(v[2]) != 3*blockSize || !bytes.Equal(bytes.Join(v, nil), data) {
		t.Errorf("%d bytes became %d frames of %d, %d and %d bytes", len(data), len(v), len(v[0]), len(v[1]), len(v[2]))
	}
}
