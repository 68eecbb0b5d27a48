package device

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/devices/devicetest"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/tools/verb"
)

// TestLoop does to a store on a real block device what the verbs are for: the
// device becomes larger, the log moves to another, free space is discarded.
func TestLoop(t *testing.T) {
	ctx := context.Background()
	image := devicetest.Image(t, 64<<20)
	path, logPath := devicetest.LoopOn(t, image), devicetest.Loop(t, 24<<20)
	open := func(path string) *devices.File {
		t.Helper()
		dev, err := devices.OpenFile(path, devices.FileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return dev
	}
	use := func(o ebofs.Options, fn func(s *ebofs.Store)) {
		t.Helper()
		dev := open(path)
		if o.LogDevice != nil {
			o.LogDevice = open(logPath)
			defer o.LogDevice.Close()
		}
		s, err := ebofs.Open(ctx, dev, o)
		if err != nil {
			t.Fatal(err)
		}
		fn(s)
		if err := s.Close(ctx); err != nil {
			t.Fatal(err)
		}
		c := check.Options{Level: check.Deep, LogDevice: o.LogDevice}
		if r, err := check.Run(ctx, dev, c); err != nil || !r.OK() || !r.Complete {
			t.Fatalf("%v, %+v", err, r)
		}
		if err := dev.Close(); err != nil {
			t.Fatal(err)
		}
	}
	id := ebofs.ObjectID{Shard: -1, Pool: 1, Name: "object"}
	data := bytes.Repeat([]byte("a grown store\n"), 300_000)
	verb := func(want string, args ...string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := Main(ctx, args, verb.Streams{Out: &out, Err: &errs}); code != 0 || !strings.Contains(out.String(), want) {
			t.Fatalf("%v: exit %d\n%s%s", args, code, out.String(), errs.String())
		}
	}

	dev := open(path)
	if _, err := ebofs.Format(ctx, dev, ebofs.FormatOptions{LogBytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	use(ebofs.Options{}, func(s *ebofs.Store) {
		x := ebofs.NewTxn()
		x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
		x.Write("c", id, 0, data)
		if err := s.Apply(ctx, x); err != nil {
			t.Fatal(err)
		}
	})
	verb("nothing to do", "grow", path)

	if err := os.Truncate(image, 200<<20); err != nil {
		t.Fatal(err)
	}
	loop, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetInt(int(loop.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		t.Fatal(err)
	}
	if err := loop.Close(); err != nil {
		t.Fatal(err)
	}
	verb("from 64.0 MiB to 200.0 MiB", "grow", path)
	verb("give it with --log", "add-log", path, logPath)

	log := &devices.File{} // any: use opens it
	use(ebofs.Options{LogDevice: log}, func(s *ebofs.Store) {
		x := ebofs.NewTxn()
		for i := range 30 {
			o := id
			o.Name = strings.Repeat("x", i+1)
			x.Write("c", o, 0, data)
		}
		if err := s.Apply(ctx, x); err != nil {
			t.Fatal(err)
		}
		if err := s.Checkpoint(ctx); err != nil {
			t.Fatal(err)
		}
		x = ebofs.NewTxn()
		for i := range 30 {
			o := id
			o.Name = strings.Repeat("x", i+1)
			x.Remove("c", o)
		}
		if err := s.Apply(ctx, x); err != nil {
			t.Fatal(err)
		}
	})
	if g := geometry(t, path); g.DiscardBytes > 0 {
		before := allocated(t, image)
		verb("discarded", "trim", "--log", logPath, path)
		if after := allocated(t, image); after+(60<<20) > before {
			t.Errorf("the image takes %d bytes after the trim, %d before", after, before)
		}
	}
	use(ebofs.Options{LogDevice: log}, func(s *ebofs.Store) {
		p := make([]byte, len(data)+1)
		if n, err := s.Read(ctx, "c", id, 0, p); err != nil || !bytes.Equal(p[:n], data) {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

func geometry(t *testing.T, path string) devices.Geometry {
	t.Helper()
	dev, err := devices.OpenFile(path, devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	return dev.Geometry()
}

// allocated returns how many bytes a file takes on its disk.
func allocated(t *testing.T, path string) int64 {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	return st.Blocks * 512
}
