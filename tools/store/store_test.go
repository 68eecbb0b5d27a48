package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/probe"
	"ebofs/tools/verb"
)

var bg = context.Background()

// TestBytes compares a device seen as bytes with a slice.
func TestBytes(t *testing.T) {
	const size = 3<<20 + 8192
	b := NewBytes(bg, devices.NewMem(devices.MemOptions{Blocks: size / devices.BlockSize}))
	if b.Size() != size {
		t.Fatal(b.Size())
	}
	model := make([]byte, size)
	r := rand.New(rand.NewPCG(3, 4))
	for range 400 {
		n := r.IntN(1 << uint(1+r.IntN(21)))
		off := r.IntN(size - n + 1)
		if r.IntN(4) == 0 {
			off = off / 4096 * 4096
		}
		if r.IntN(2) == 0 {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(r.Uint32())
			}
			copy(model[off:], p)
			if k, err := b.WriteAt(p, int64(off)); k != n || err != nil {
				t.Fatal(k, err)
			}
			continue
		}
		p := make([]byte, n)
		if k, err := b.ReadAt(p, int64(off)); k != n || err != nil || !bytes.Equal(p, model[off:off+n]) {
			t.Fatalf("read %d at %d: %d, %v", n, off, k, err)
		}
	}
	p := make([]byte, 100)
	if n, err := b.ReadAt(p, size-40); n != 40 || err != io.EOF {
		t.Error("short read at the end:", n, err)
	}
	if n, err := b.ReadAt(p, size); n != 0 || err != io.EOF {
		t.Error("read behind the end:", n, err)
	}
	if _, err := b.WriteAt(p, size-40); !errors.Is(err, devices.ErrRange) {
		t.Error("write beyond the end:", err)
	}
	if err := b.Close(); err != nil {
		t.Error("frames are left:", err)
	}
}

// call gives Explain a call to make commands of.
func call(t *testing.T, fn func(*verb.Call)) {
	t.Helper()
	ran := false
	v := verb.Verb{Name: "x", Schema: "x/1", New: nil}
	v.New = func(*pflag.FlagSet) verb.Run {
		return func(_ context.Context, c *verb.Call) error { ran = true; fn(c); return nil }
	}
	verb.Main(bg, v, nil, verb.Streams{Program: "ebofs"})
	if !ran {
		t.Fatal("the verb did not run")
	}
}

func TestExplain(t *testing.T) {
	call(t, func(c *verb.Call) {
		for _, x := range []struct {
			err        error
			code, hint string
		}{
			{ebofs.ErrNoStore, "E-NO-STORE", "ebofs device probe /dev/x"},
			{&layout.Corruption{Kind: "superblock", Err: layout.ErrNewer}, "E-FORMAT", "ebofs version"},
			{fmt.Errorf("y: %w", layout.ErrFeature), "E-FORMAT", "ebofs version"},
			{ebofs.ErrLogMissing, "E-LOG-DEVICE", "--log DEV"},
			{ebofs.ErrNotFound, "E-NOT-FOUND", ""},
			{ebofs.ErrExists, "E-EXISTS", ""},
			{ebofs.ErrNoSpace, "E-NO-SPACE", "ebofs map /dev/x"},
			{layout.ErrTooLong, "E-NAME", ""},
			{&ebofs.CorruptError{Kind: "data"}, "E-CORRUPT", "ebofs fsck --level deep /dev/x"},
			{&btree.CorruptError{Field: "crc"}, "E-CORRUPT", "ebofs fsck"},
			{layout.ErrNoSuperblock, "E-CORRUPT", "ebofs fsck"},
			{ebofs.ErrReadOnly, "E-READ-ONLY", ""},
			{errors.New("odd"), "E-FAILED", ""},
		} {
			var f *verb.Failure
			err := Explain(c, "/dev/x", fmt.Errorf("some: %w", x.err))
			if !errors.As(err, &f) || f.Code != x.code || !strings.Contains(f.Hint, x.hint) || !strings.HasPrefix(f.Message, "/dev/x: ") || !errors.Is(err, x.err) {
				t.Errorf("%v: %+v", x.err, f)
			}
		}
		if Explain(c, "x", nil) != nil {
			t.Error("no error became one")
		}
		if err := Explain(c, "x", context.Canceled); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if f := Explain(c, "/dev/x", errors.New("/dev/x: once")); f.Error() != "/dev/x: once" {
			t.Error(f)
		}
	})
}

// TestClaim: what Judge refuses is not opened; what it allows is held.
func TestClaim(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, make([]byte, 64<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	ask := probe.Ask{Command: func(...string) string { return "" }}
	dev, d, warnings, err := Claim(bg, path, ask)
	if err != nil || warnings != nil || d.InUse {
		t.Fatal(err, warnings, d)
	}
	var f *verb.Failure
	if _, _, _, err := Claim(bg, path, ask); !errors.As(err, &f) || f.Code != probe.CodeInUse {
		t.Errorf("claimed twice: %v", err)
	}
	if _, err := Open(path, true); !errors.As(err, &f) || f.Code != probe.CodeInUse || !strings.Contains(f.Message, "locked by") {
		t.Errorf("opened for writing twice: %v", err)
	}
	if ro, err := Open(path, false); err != nil {
		t.Errorf("looking is refused: %v", err)
	} else {
		ro.Close()
	}
	dev.Close()
	swap := make([]byte, 64<<10)
	copy(swap[4086:], "SWAPSPACE2")
	if err := os.WriteFile(path, swap, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := Claim(bg, path, ask); !errors.As(err, &f) || f.Code != probe.CodeSignature {
		t.Error(err)
	}
	ask.Force = true
	dev, d, _, err = Claim(bg, path, ask)
	if err != nil || len(d.Findings) != 1 {
		t.Fatal(err, d)
	}
	dev.Close()
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() != 0 {
		if _, _, _, err := Claim(bg, path, ask); !errors.As(err, &f) || f.Code != probe.CodeReadOnly {
			t.Error(err)
		}
	}
}
