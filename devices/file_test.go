package devices

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func openImage(t *testing.T, blocks int, o FileOptions) *File {
	t.Helper()
	o.CreateBytes = uint64(blocks) * BlockSize
	f, err := OpenFile(filepath.Join(t.TempDir(), "image"), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestImageReadWrite(t *testing.T) {
	ctx := context.Background()
	f := openImage(t, 64, FileOptions{})
	if g := f.Geometry(); g.Blocks != 64 || g.StripeBytes != DefaultStripeBytes || g.Hard || g.Validate() != nil {
		t.Errorf("geometry %+v", g)
	}
	p := heapAligned(3 * BlockSize)
	fill := func(x byte) {
		for i := range p {
			p[i] = x + byte(i/BlockSize)
		}
	}
	fill(1)
	if err := f.Write(ctx, 61, Vec{p[:BlockSize], p[BlockSize:]}); err != nil {
		t.Fatal(err)
	}
	if err := f.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	disk, err := os.ReadFile(f.Path())
	if err != nil || len(disk) != 64*BlockSize || !bytes.Equal(disk[61*BlockSize:], p) {
		t.Fatalf("image holds %d bytes, %v, or the wrong ones", len(disk), err)
	}
	if err := f.Read(ctx, 0, Vec{p}); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	// A second open finds it; it does not shrink.
	g, err := OpenFile(f.Path(), FileOptions{ReadOnly: true, CreateBytes: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
	q := heapAligned(3 * BlockSize)
	if err := g.Read(ctx, 61, Vec{q}); err != nil || !bytes.Equal(p, q) || g.Geometry().Blocks != 64 {
		t.Errorf("reopened: %v", err)
	}
	if err := g.Write(ctx, 0, Vec{q}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("write to a read-only device: %v", err)
	}
	if err := g.Flush(ctx); err != nil {
		t.Errorf("flush of a read-only device: %v", err)
	}
}

// TestImageLock: I3, between two handles of one process.
func TestImageLock(t *testing.T) {
	f := openImage(t, 8, FileOptions{})
	_, err := OpenFile(f.Path(), FileOptions{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "locked by") || !strings.HasPrefix(err.Error(), f.Path()+": ") {
		t.Errorf("second open for writing: %v", err)
	}
	for _, o := range []FileOptions{{ReadOnly: true}, {Shared: true}} {
		g, err := OpenFile(f.Path(), o)
		if err != nil {
			t.Errorf("%+v beside a writer: %v", o, err)
			continue
		}
		g.Close()
	}
	// Waiting helps when the holder goes away meanwhile.
	var slept time.Duration
	g, err := OpenFile(f.Path(), FileOptions{LockTimeout: time.Second, sleep: func(d time.Duration) {
		if slept += d; slept >= 500*time.Millisecond {
			f.Close()
		}
	}})
	if err != nil || slept != 500*time.Millisecond {
		t.Fatalf("open while the holder leaves: %v after %v", err, slept)
	}
	defer g.Close()
	slept = 0
	_, err = OpenFile(f.Path(), FileOptions{LockTimeout: time.Second, sleep: func(d time.Duration) { slept += d }})
	if !errors.Is(err, ErrInUse) || slept != time.Second {
		t.Errorf("open while the holder stays: %v after %v", err, slept)
	}
}

func TestOpenErrors(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, make([]byte, BlockSize-1), 0o600); err != nil {
		t.Fatal(err)
	}
	fifo := filepath.Join(dir, "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	odd := uint64(1000)
	image := filepath.Join(dir, "image")
	for name, c := range map[string]struct {
		path string
		o    FileOptions
		is   error
		has  string
	}{
		"absent":       {path: filepath.Join(dir, "none"), is: fs.ErrNotExist},
		"no directory": {path: filepath.Join(dir, "none", "x"), o: FileOptions{CreateBytes: 1 << 20}, is: fs.ErrNotExist},
		"directory":    {path: dir, is: ErrNotDevice, has: "directory"},
		"character":    {path: "/dev/null", is: ErrNotDevice, has: "character"},
		"pipe":         {path: fifo, is: ErrNotDevice, has: "pipe"},
		"too small":    {path: empty, has: "no block"},
		"geometry":     {path: image, o: FileOptions{CreateBytes: 1 << 20, Geometry: Overrides{StripeBytes: 5000, AlignBytes: &odd}}, has: "alignment 1000"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := OpenFile(c.path, c.o)
			if err == nil {
				f.Close()
				t.Fatal("opened")
			}
			if c.is != nil && !errors.Is(err, c.is) || !strings.Contains(err.Error(), c.has) || strings.Count(err.Error(), c.path) != 1 {
				t.Errorf("error %q", err)
			}
		})
	}
}

// TestCancelled: nothing is done for a context that is over.
func TestCancelled(t *testing.T) {
	f := openImage(t, 8, FileOptions{})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	v := Vec{heapAligned(BlockSize)}
	for name, err := range map[string]error{
		"read": f.Read(ctx, 0, v), "write": f.Write(ctx, 0, v), "flush": f.Flush(ctx),
		"discard": f.Discard(ctx, 0, 1), "zero": f.Zero(ctx, 0, 1),
	} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestImageSpace checks discard and zero on an image.
func TestImageSpace(t *testing.T) {
	ctx := context.Background()
	f := openImage(t, 64, FileOptions{})
	if f.Geometry().DiscardBytes == 0 {
		t.Skip("the file system cannot punch holes")
	}
	p, q := heapAligned(64*BlockSize), heapAligned(64*BlockSize)
	for i := range p {
		p[i] = 7
	}
	if err := errors.Join(f.Write(ctx, 0, Vec{p}), f.Zero(ctx, 3, 2), f.Discard(ctx, 60, 4), f.Read(ctx, 0, Vec{q})); err != nil {
		t.Fatal(err)
	}
	clear(p[3*BlockSize : 5*BlockSize])
	if !bytes.Equal(p[:60*BlockSize], q[:60*BlockSize]) {
		t.Error("zeroing 3~2 and discarding 60~4 left something else")
	}
	for _, err := range []error{f.Zero(ctx, 64, 1), f.Discard(ctx, 0, 0), f.Discard(ctx, 1, 1<<63)} {
		if !errors.Is(err, ErrRange) {
			t.Errorf("out of range: %v", err)
		}
	}
}

// TestPageCache: where direct I/O is refused, the file works all the same and
// says so.
func TestPageCache(t *testing.T) {
	f := openImage(t, 8, FileOptions{})
	f.direct = true
	ff := &fakeFile{limit: func(int, int) (int, error) { return 0, syscall.EINVAL }}
	real := f.sys
	f.sys = ff
	f.notes = nil
	f.tryDirect()
	f.sys = real
	if f.Direct() || len(f.Notes()) != 1 || !strings.Contains(f.Notes()[0], "page cache") {
		t.Errorf("direct %v, notes %q", f.Direct(), f.Notes())
	}
	if err := f.Write(context.Background(), 0, Vec{heapAligned(BlockSize)}); err != nil {
		t.Error(err)
	}
}
