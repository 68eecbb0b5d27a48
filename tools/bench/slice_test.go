package bench

import (
	"context"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"ebofs/devices"
)

// TestRawBlocks: raw callers block, on threads enough, where the same calls else go
// through the ring of the file; afterwards there are as many threads as before.
func TestRawBlocks(t *testing.T) {
	t.Setenv("GOMAXPROCS", "")
	f, err := devices.OpenFile(filepath.Join(t.TempDir(), "image"), devices.FileOptions{CreateBytes: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	none := f.Ring() // made here, or the first calls could all be over before it is
	before := runtime.GOMAXPROCS(0)
	caller := func(int) call {
		v := ordinary(devices.BlockSize)
		return func(ctx context.Context) (int, int64, error) { return 1, devices.BlockSize, f.Write(ctx, 0, v) }
	}
	var raw, other side
	if err := raw.runRaw(context.Background(), 64, 100*time.Millisecond, func(w int) call {
		if runtime.GOMAXPROCS(0) < rawThreads {
			t.Errorf("%d threads", runtime.GOMAXPROCS(0))
		}
		return caller(w)
	}); err != nil {
		t.Fatal(err)
	}
	if n := f.RingCalls(); n > 0 || raw.ops == 0 {
		t.Errorf("%d of %d raw calls went through the ring", n, raw.ops)
	}
	if n := runtime.GOMAXPROCS(0); n != before {
		t.Errorf("%d threads afterwards, %d before", n, before)
	}
	if err := other.run(context.Background(), 64, 100*time.Millisecond, caller); err != nil {
		t.Fatal(err)
	}
	if none == nil && f.RingCalls() == 0 {
		t.Errorf("none of %d other calls went through the ring", other.ops)
	}
}
