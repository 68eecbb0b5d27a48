package devices_test

import (
	"context"
	"errors"
	"testing"

	"ebofs/devices"
	"ebofs/devices/devicetest"
)

func open(t *testing.T, path string, o devices.FileOptions) devices.Device {
	t.Helper()
	f, err := devices.OpenFile(path, o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestImage and TestLoop run the suite three ways: as a File chooses, with
// everything through the ring, and as where the kernel has none.
func TestImage(t *testing.T) {
	eachRing(t, func(t *testing.T, blocks int64) string { return devicetest.Image(t, blocks*devices.BlockSize) })
}

func TestLoop(t *testing.T) {
	eachRing(t, func(t *testing.T, blocks int64) string { return devicetest.Loop(t, blocks*devices.BlockSize) })
}

func eachRing(t *testing.T, path func(t *testing.T, blocks int64) string) {
	for name, o := range map[string]devices.FileOptions{
		"deep": {}, "ring": devices.FileOptions{}.RingAlways(), "none": devices.FileOptions{}.RingNever(),
	} {
		t.Run(name, func(t *testing.T) {
			said := false
			devicetest.Run(t, devicetest.Config{
				New: func(t *testing.T, blocks uint64) devices.Device {
					f := open(t, path(t, int64(blocks)), o).(*devices.File)
					if name == "ring" {
						ring := needRing(t, f)
						if !said {
							said = true
							t.Log("ran through", ring)
						}
					}
					return f
				},
				Reopen: func(t *testing.T, d devices.Device) devices.Device { return open(t, d.(*devices.File).Path(), o) },
			})
		})
	}
}

// needRing skips the test, with the reason, where the kernel gives f no ring.
func needRing(t testing.TB, f *devices.File) string {
	t.Helper()
	if err := f.Ring(); err != nil {
		f.Close()
		t.Skip("the fall-back only, not run through the ring: ", err)
	}
	return "asynchronous I/O"
}

func TestOverlay(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return devices.NewOverlay(devices.NewMem(devices.MemOptions{Blocks: blocks}), 1<<30)
		},
	})
}

func TestScheduler(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return devices.NewScheduler(devices.NewMem(devices.MemOptions{Blocks: blocks}))
		},
		Reopen: func(t *testing.T, d devices.Device) devices.Device {
			return devices.NewScheduler(d.(*devices.Scheduler).Device.(*devices.Mem).Snapshot())
		},
	})
}

// TestOverlayBelow: the device below is read and stays as it is.
func TestOverlayBelow(t *testing.T) {
	ctx := context.Background()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(4 * devices.BlockSize)
	defer f.Release()
	fill := func(c byte) devices.Vec {
		for i := range f.Bytes() {
			f.Bytes()[i] = c
		}
		return devices.Vec{f.Bytes()}
	}
	below := devices.NewMem(devices.MemOptions{Blocks: 16})
	if err := below.Write(ctx, 2, fill('b')); err != nil {
		t.Fatal(err)
	}
	o := devices.NewOverlay(below, 4*devices.BlockSize)
	if err := o.Write(ctx, 4, fill('o')); err != nil {
		t.Fatal(err)
	}
	if err := o.Write(ctx, 5, fill('o')); !errors.Is(err, devices.ErrOverlayFull) {
		t.Errorf("write beyond the limit: %v", err)
	}
	for _, c := range []struct {
		dev  devices.Device
		want string
	}{{o, "bboo"}, {below, "bbbb"}} {
		if err := c.dev.Read(ctx, 2, fill(0)); err != nil {
			t.Fatal(err)
		}
		got := ""
		for i := range 4 {
			got += string(f.Bytes()[i*devices.BlockSize])
		}
		if got != c.want {
			t.Errorf("%T reads %s, want %s", c.dev, got, c.want)
		}
	}
}

func TestMem(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return devices.NewMem(devices.MemOptions{Blocks: blocks})
		},
		Reopen: func(t *testing.T, d devices.Device) devices.Device { return d.(*devices.Mem).Snapshot() },
	})
}
