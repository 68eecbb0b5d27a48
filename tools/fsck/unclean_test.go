package fsck

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
)

// TestReplay: -p and -y replay the log of a store that was not closed, and do no
// more than that.
func TestReplay(t *testing.T) {
	img := image(t)
	dev, err := devices.OpenFile(img, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	x := ebofs.NewTxn()
	x.Write("c", ebofs.NewObjectID(1, "late"), 0, make([]byte, 5000))
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	dev.Close()
	for _, args := range [][]string{{"-p"}, {"-y", "--no-undo"}} {
		crashed := filepath.Join(t.TempDir(), "crashed.img")
		if err := os.WriteFile(crashed, p, 0o600); err != nil {
			t.Fatal(err)
		}
		out, errs, code := run(bg, append(args, crashed)...)
		if code != 1 || strings.Count(out, "  repaired  ") != 1 || !strings.Contains(out, "replayed the log") || !strings.Contains(out, "clean, 2 objects\n") {
			t.Errorf("%v: exit %d: %s%s", args, code, out, errs)
		}
		if out, errs, code := run(bg, "--level", "deep", crashed); code != 0 || strings.Contains(out, "to replay, looked") {
			t.Errorf("%v, afterwards: exit %d: %s%s", args, code, out, errs)
		}
	}
}
