package mkfs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"ebofs/tools/verb"
)

// mkfs runs the verb.
func mkfs(ctx context.Context, args ...string) (errs string, code int) {
	var out, e bytes.Buffer
	code = Main(ctx, args, verb.Streams{Out: &out, Err: &e, Program: "mkfs.ebofs"})
	return e.String(), code
}

// fuse is a context that is cancelled when it has been asked so many times.
type fuse struct {
	context.Context
	cancel context.CancelFunc
	left   atomic.Int64
}

func newFuse(n int64) *fuse {
	f := &fuse{}
	f.Context, f.cancel = context.WithCancel(context.Background())
	f.left.Store(n)
	return f
}

func (f *fuse) Err() error {
	if f.left.Add(-1) < 0 {
		f.cancel()
	}
	return f.Context.Err()
}

// TestInterrupted: whenever mkfs is interrupted it says so, and the image it made is
// gone again.
func TestInterrupted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "disk.img")
	interrupted := 0
	for n := int64(0); ; n += 1 + n/4 {
		ctx := newFuse(n)
		errs, code := mkfs(ctx, "-q", "--size", "64M", path)
		ctx.cancel()
		_, err := os.Stat(path)
		if code == 0 {
			if err != nil {
				t.Fatal(err)
			}
			break
		}
		interrupted++
		if code != 130 || !strings.Contains(errs, "interrupted") || strings.Count(errs, "\n") != 1 || !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("after %d: exit %d, %v: %s", n, code, err, errs)
		}
	}
	if interrupted < 3 {
		t.Errorf("interrupted %d times", interrupted)
	}
}

// TestFiles: a file with data is somebody's, wherever the data is.
func TestFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "some file.img")
	size := int64(64 << 20)
	for _, at := range []int64{0, size / 2, size - 1} {
		if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteAt([]byte("x"), at)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		errs, code := mkfs(context.Background(), "-q", "--label", "a b", path)
		if code != 1 || !strings.Contains(errs, "holds unknown data from byte ") || !strings.Contains(errs, " mkfs.ebofs --label 'a b' --force '"+path+"'") {
			t.Errorf("data at %d: exit %d: %s", at, code, errs)
		}
		if errs, code := mkfs(context.Background(), "-q", "--force", path); code != 0 {
			t.Errorf("data at %d, forced: exit %d: %s", at, code, errs)
		}
	}
	if err := os.WriteFile(path, make([]byte, size), 0o600); err != nil {
		t.Fatal(err)
	}
	if errs, code := mkfs(context.Background(), "-q", path); code != 0 {
		t.Errorf("zeros: exit %d: %s", code, errs)
	}
}
