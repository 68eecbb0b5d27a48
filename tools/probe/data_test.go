package probe

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestFirstData(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	look := func(at int64, found bool) {
		t.Helper()
		if a, ok, err := FirstData(context.Background(), path); a != at || ok != found || err != nil {
			t.Errorf("%d %v %v, want %d %v", a, ok, err, at, found)
		}
	}
	look(0, false)
	if err := f.Truncate(1 << 40); err != nil {
		t.Fatal(err)
	}
	look(0, false)
	write := func(p []byte, at int64) {
		t.Helper()
		if _, err := f.WriteAt(p, at); err != nil {
			t.Fatal(err)
		}
	}
	write(make([]byte, 3<<20), 1<<30)
	look(0, false)
	write([]byte{7}, 1<<39+5)
	look(1<<39+5, true)
	write([]byte{7}, 2<<30-1)
	look(2<<30-1, true)
	write([]byte{7}, 0)
	look(0, true)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, _, err := FirstData(ctx, path); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, _, err := FirstData(ctx, path+"x"); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
