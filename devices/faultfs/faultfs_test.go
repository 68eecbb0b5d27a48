package faultfs_test

import (
	"context"
	"errors"
	"os"
	"syscall"
	"testing"

	"ebofs/devices"
	"ebofs/devices/crashdev"
	"ebofs/devices/devicetest"
	"ebofs/devices/faultdev"
	"ebofs/devices/faultfs"
)

// serve mounts dev for the test. The test is skipped where FUSE cannot be used.
func serve(t *testing.T, dev devices.Device) *faultfs.Server {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("mounting needs root")
	}
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skipf("no FUSE: %v", err)
	}
	s, err := faultfs.Mount(t.TempDir(), dev)
	if errors.Is(err, os.ErrPermission) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(t *testing.T, path string) devices.Device {
	t.Helper()
	f, err := devices.OpenFile(path, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestDevice: a loop device over the file is a device like any other.
func TestDevice(t *testing.T) {
	devicetest.Run(t, devicetest.Config{
		New: func(t *testing.T, blocks uint64) devices.Device {
			s := serve(t, devices.NewMem(devices.MemOptions{Blocks: blocks}))
			return open(t, devicetest.LoopOn(t, s.Path()))
		},
		Reopen: func(t *testing.T, d devices.Device) devices.Device { return open(t, d.(*devices.File).Path()) },
	})
}

// TestParts: reads and writes of parts of blocks, and the end of the file.
func TestParts(t *testing.T) {
	s := serve(t, devices.NewMem(devices.MemOptions{Blocks: 4}))
	f, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("across the edge"), 4090); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 20)
	if n, err := f.ReadAt(p, 4088); err != nil || string(p[:n]) != "\x00\x00across the edge\x00\x00\x00" {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if n, _ := f.ReadAt(p, 4*4096-5); n != 5 {
		t.Errorf("read %d bytes before the end, want 5", n)
	}
	if _, err := f.WriteAt(p, 4*4096-5); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("write over the end: %v", err)
	}
	if err := f.Truncate(5); !errors.Is(err, syscall.EPERM) {
		t.Errorf("truncate: %v", err)
	}
}

// TestFaults: what the device below does is what the program gets, through a
// loop device too.
func TestFaults(t *testing.T) {
	ctx := context.Background()
	faults := faultdev.New(devices.NewMem(devices.MemOptions{Blocks: 256}), faultdev.Options{})
	s := serve(t, faults)
	dev := open(t, devicetest.LoopOn(t, s.Path()))
	defer dev.Close()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(8 * devices.BlockSize)
	defer f.Release()
	v := devices.Vec{f.Bytes()}
	if err := dev.Write(ctx, 8, v); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		script string
		do     func() error
		want   error
	}{
		{"read range=8~1 eio always", func() error { return dev.Read(ctx, 8, v) }, syscall.EIO},
		{"write range=8~1 eio", func() error { return dev.Write(ctx, 8, v) }, syscall.EIO},
		{"write range=8~1 full", func() error { return dev.Write(ctx, 8, v) }, syscall.ENOSPC},
	} {
		if err := faults.Script(c.script); err != nil {
			t.Fatal(err)
		}
		if err := c.do(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", c.script, err)
		}
		if r := faults.Unhit(); len(r) > 0 {
			t.Errorf("%s: never hit", c.script)
		}
		faults.Clear()
		if err := c.do(); err != nil {
			t.Errorf("%s, cleared: %v", c.script, err)
		}
	}
}

// TestCut: what was not flushed may be lost, and nothing comes through afterwards.
func TestCut(t *testing.T) {
	ctx := context.Background()
	crash := crashdev.New(devices.NewMem(devices.MemOptions{Blocks: 64}))
	s := serve(t, crash)
	dev := open(t, devicetest.LoopOn(t, s.Path()))
	defer dev.Close()
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(devices.BlockSize)
	defer f.Release()
	write := func(b devices.Block, c byte) error {
		f.Bytes()[0] = c
		return dev.Write(ctx, b, devices.Vec{f.Bytes()})
	}
	if err := errors.Join(write(1, 'a'), dev.Flush(ctx), write(1, 'b'), write(2, 'c')); err != nil {
		t.Fatal(err)
	}
	if n := crash.Pending(); n != 2 {
		t.Errorf("%d writes pending, want 2", n)
	}
	s.Cut()
	if err := write(3, 'd'); !errors.Is(err, syscall.EIO) {
		t.Errorf("write after the cut: %v", err)
	}
	seen := map[string]bool{}
	for state := range crash.States(crash.Now(), crashdev.Policy{NoTorn: true}) {
		got := ""
		for b := devices.Block(1); b <= 3; b++ {
			if err := state.Mem.Read(ctx, b, devices.Vec{f.Bytes()}); err != nil {
				t.Fatal(err)
			}
			got += string(rune(f.Bytes()[0] + '0'*b2i(f.Bytes()[0] == 0)))
		}
		seen[got] = true
	}
	for _, want := range []string{"a00", "b00", "ac0", "bc0"} {
		if !seen[want] {
			t.Errorf("no state %s: %v", want, seen)
		}
	}
	if len(seen) != 4 {
		t.Errorf("states %v", seen)
	}
}

func b2i(b bool) byte {
	if b {
		return 1
	}
	return 0
}
