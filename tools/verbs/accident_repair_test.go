package verbs

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// accidents are what may happen to the ends of a device: a tool runs on it, or on
// a device of its own ($O, as large) whose ends then stand in place of ours.
var accidents = []struct {
	name, command string
	foreign       bool // a known signature is in block 0 afterwards, or near it
}{
	{"dd zero", "dd if=/dev/zero of=$O bs=1M count=8 status=none", false},
	{"dd noise", "dd if=/dev/urandom of=$O bs=1M count=8 status=none; dd if=/dev/urandom of=$O bs=1M seek=308 count=12 conv=notrunc status=none", false},
	{"mkfs.ext4", "mkfs.ext4 -q -F $O", true},
	{"mkfs.xfs", "mkfs.xfs -q -f $O", true},
	{"mkfs.btrfs", "mkfs.btrfs -q -f $O", true},
	{"sgdisk", "sgdisk -n 1:0:0 $O", true},
	{"parted", "parted -s $O mklabel msdos mkpart primary 1MiB 100%", true},
}

const accidentBytes = 320 << 20

// copyRange copies bytes from one file to another.
func copyRange(t *testing.T, to, from string, off, n int64) {
	t.Helper()
	src, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	dst, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer dst.Close()
	if _, err := io.Copy(io.NewOffsetWriter(dst, off), io.NewSectionReader(src, off, n)); err != nil {
		t.Fatal(err)
	}
}

// TestAccidentsRepaired: whatever was written over one or both ends of a device,
// fsck -y brings a clean store back, with everything that is in it, and the way back
// is exact. What may be somebody's is not overwritten by -p.
func TestAccidentsRepaired(t *testing.T) {
	dir := t.TempDir()
	store := filepath.Join(dir, "store.img")
	for _, argv := range [][]string{{"mkfs.ebofs", "-q", "--size", fmt.Sprint(accidentBytes), store}, {"ebofs", "object", store, "import", "testdata"}, {"ebofs", "object", store, "put", "precious", "table_test.go"}} {
		if _, errs, code := program(argv...); code != 0 {
			t.Fatal(errs)
		}
	}
	want, err := os.ReadFile("table_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range accidents {
		tool, _, _ := strings.Cut(a.command, " ")
		if _, err := exec.LookPath(tool); err != nil {
			t.Run(a.name, func(t *testing.T) { t.Skipf("%s is not installed", tool) })
			continue
		}
		other := filepath.Join(dir, "other.img")
		os.Remove(other)
		if f, err := os.Create(other); err != nil || f.Truncate(accidentBytes) != nil || f.Close() != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("sh", "-c", "set -e; "+strings.ReplaceAll(a.command, "of=$O", "conv=notrunc of=$O"))
		cmd.Env = append(os.Environ(), "O="+other)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", a.name, err, out)
		}
		for _, end := range []struct {
			name        string
			first, last int64 // MiB
		}{{"first 2 MiB", 2, 0}, {"last 2 MiB", 0, 2}, {"both", 2, 2}, {"first 5 MiB", 5, 0}, {"last 5 MiB", 0, 5}} {
			if testing.Short() && (end.first == 0 || end.last > 0) {
				continue
			}
			t.Run(a.name+"/"+end.name, func(t *testing.T) {
				img, undo := filepath.Join(dir, "hit.img"), filepath.Join(dir, "undo")
				os.Remove(undo)
				if out, err := exec.Command("cp", "--sparse=always", store, img).CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
				copyRange(t, img, other, 0, end.first<<20)
				copyRange(t, img, other, accidentBytes-end.last<<20, end.last<<20)
				before := sum(t, img)
				if a.foreign && end.first > 0 {
					if out, errs, code := program("fsck.ebofs", "-p", img); code == 0 || code == 1 || sum(t, img) != before {
						t.Errorf("-p: exit %d: %s%s", code, out, errs)
					}
				}
				out, errs, code := program("fsck.ebofs", "-y", "--undo", undo, "--level", "deep", img)
				if code != 1 && code != 0 {
					t.Fatalf("-y: exit %d: %s%s", code, out, errs)
				}
				if code == 1 {
					if _, errs, code := program("fsck.ebofs", "--apply-undo", undo, img); code != 0 || sum(t, img) != before {
						t.Errorf("undo: exit %d: %s", code, errs)
					}
					if out, errs, code := program("fsck.ebofs", "-y", "--no-undo", img); code != 1 {
						t.Fatalf("-y again: exit %d: %s%s", code, out, errs)
					}
				}
				if out, errs, code := program("fsck.ebofs", "--level", "deep", img); code != 0 {
					t.Errorf("fsck: exit %d: %s%s", code, out, errs)
				}
				if got, errs, code := program("ebofs", "object", img, "get", "precious"); code != 0 || got != string(want) {
					t.Errorf("get: exit %d, %d bytes: %s", code, len(got), errs)
				}
				if _, errs, code := program("ebofs", "object", img, "put", "more", "table_test.go"); code != 0 {
					t.Errorf("put: exit %d: %s", code, errs)
				}
			})
		}
	}
}

// sum is a digest of a file.
func sum(t *testing.T, path string) uint32 {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	if _, err := io.Copy(h, f); err != nil {
		t.Fatal(err)
	}
	return h.Sum32()
}
