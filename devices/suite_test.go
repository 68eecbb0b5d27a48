package devices_test

import (
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

func reopen(t *testing.T, d devices.Device) devices.Device {
	return open(t, d.(*devices.File).Path(), devices.FileOptions{})
}

func TestImage(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return open(t, devicetest.Image(t, int64(blocks)*devices.BlockSize), devices.FileOptions{})
		},
		Reopen: reopen,
	})
}

func TestLoop(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return open(t, devicetest.Loop(t, int64(blocks)*devices.BlockSize), devices.FileOptions{})
		},
		Reopen: reopen,
	})
}

func TestMem(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			return devices.NewMem(devices.MemOptions{Blocks: blocks})
		},
		Reopen: func(t *testing.T, d devices.Device) devices.Device { return d.(*devices.Mem).Snapshot() },
	})
}
