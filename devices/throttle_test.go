package devices_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"ebofs/devices"
)

// TestThrottle: reads take the time their bytes are allowed, whatever their size
// and number, and a wait ends with its context.
func TestThrottle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pool := devices.NewPool(devices.PoolOptions{})
		frame := pool.Get(4 << 20)
		dev := devices.NewThrottle(devices.NewMem(devices.MemOptions{Blocks: 2048}), 1<<20)
		ctx := t.Context()
		read := func(n int) error { return dev.Read(ctx, 0, devices.Vec{frame.Bytes()[:n]}) }
		begin := time.Now()
		for range 256 {
			if err := read(4096); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d > 10*time.Millisecond {
			t.Errorf("the burst took %v", d)
		}
		if err := read(4 << 20); err != nil {
			t.Fatal(err)
		}
		for range 256 {
			if err := read(4096); err != nil {
				t.Fatal(err)
			}
		}
		if d := time.Since(begin); d < 4900*time.Millisecond || d > 5100*time.Millisecond {
			t.Errorf("6 MiB, one of them at once, at 1 MiB/s took %v", d)
		}
		var cancel context.CancelFunc
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if err := read(4 << 20); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		ctx, cancel = context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := read(4 << 20); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		frame.Release()
		if err := errors.Join(dev.Close(), pool.Close()); err != nil {
			t.Error(err)
		}
	})
}
