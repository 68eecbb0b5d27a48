package verbs

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ebofs/tools/probe"
	"ebofs/tools/verb"
)

// program runs a command line in process.
func program(argv ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = Main(context.Background(), "test", argv, verb.Streams{Out: &o, Err: &e})
	return o.String(), e.String(), code
}

// TestAccidents: tools that write to the ends of a disk run over a store. It is
// still recognised, its objects are read, and mkfs still refuses it.
func TestAccidents(t *testing.T) {
	for _, c := range []struct{ name, command string }{
		{"first 2 MiB", "dd if=/dev/zero of=$I bs=1M count=2 conv=notrunc status=none"},
		{"last 2 MiB", "dd if=/dev/urandom of=$I bs=1M seek=126 count=2 conv=notrunc status=none"},
		{"both ends", "dd if=/dev/urandom of=$I bs=1M count=2 conv=notrunc status=none; dd if=/dev/zero of=$I bs=1M seek=126 count=2 conv=notrunc status=none"},
		{"sgdisk", "sgdisk -n 1:0:0 $I"},
		{"sgdisk --zap-all", "sgdisk --zap-all $I"},
		{"parted gpt", "parted -s $I mklabel gpt mkpart a 1MiB 100%"},
		{"parted msdos", "parted -s $I mklabel msdos mkpart primary 1MiB 100%"},
		{"mkswap", "mkswap $I"},
		{"wipefs", "wipefs -a $I"},
	} {
		t.Run(c.name, func(t *testing.T) {
			tool, _, _ := strings.Cut(c.command, " ")
			if _, err := exec.LookPath(tool); err != nil {
				t.Skipf("%s is not installed", tool)
			}
			dir := t.TempDir()
			img := filepath.Join(dir, "disk.img")
			for _, argv := range [][]string{{"mkfs.ebofs", "-q", "--size", "128MiB", img}, {"ebofs", "object", img, "put", "precious", "table_test.go"}} {
				if _, errs, code := program(argv...); code != 0 {
					t.Fatal(errs)
				}
			}
			cmd := exec.Command("sh", "-c", "set -e; "+c.command)
			cmd.Env = append(os.Environ(), "I="+img)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			want, err := os.ReadFile("table_test.go")
			if err != nil {
				t.Fatal(err)
			}
			if got, errs, code := program("ebofs", "object", img, "get", "precious"); code != 0 || got != string(want) {
				t.Errorf("get: exit %d, %d bytes: %s", code, len(got), errs)
			}
			if label, err := os.ReadFile(img); err == nil && !bytes.HasPrefix(label, []byte("EBOFSlbl")) {
				// Somebody else may own the device by now.
				if _, errs, code := program("ebofs", "object", img, "put", "more", "table_test.go"); code != 1 || !strings.Contains(errs, "was written over: ") {
					t.Errorf("put: exit %d: %s", code, errs)
				}
			}
			if out, errs, code := program("fsck.ebofs", "--level", "deep", img); code != 0 && code != 4 || strings.Contains(out, " E-") {
				t.Errorf("fsck: exit %d: %s%s", code, out, errs)
			}
			if out, errs, _ := program("ebofs", "device", "probe", img); !strings.Contains(out, "holds store ") {
				t.Errorf("probe: %s%s", out, errs)
			}
			if _, errs, code := program("mkfs.ebofs", "--force", img); code != 1 || !strings.Contains(errs, "--destroy") {
				t.Errorf("mkfs --force: exit %d: %s", code, errs)
			}
		})
	}
}

// TestKilledMkfs kills mkfs over an old store at different moments: what is
// left is the old store's remains, nothing, or the whole new store.
func TestKilledMkfs(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	img := filepath.Join(t.TempDir(), "disk.img")
	const old, fresh = "50000000-0000-4000-8000-000000000000", "51111111-0000-4000-8000-000000000000"
	killed := 0
	for i := range 12 {
		os.Remove(img)
		if _, errs, code := program("mkfs.ebofs", "-q", "--size", "128MiB", "--uuid", old, img); code != 0 {
			t.Fatal(errs)
		}
		cmd := exec.Command(exe, "-q", "--destroy", "50000000", "--uuid", fresh, img)
		cmd.Args[0] = "mkfs.ebofs"
		cmd.Env = append(os.Environ(), "EBOFS_TEST_IS_PROGRAM=1")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stop := time.AfterFunc(time.Duration(2*i)*time.Millisecond, func() { cmd.Process.Kill() })
		if cmd.Wait() != nil {
			killed++
		}
		stop.Stop()
		d, err := probe.Look(img)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case d.Store == nil:
			if _, errs, code := program("ebofs", "object", img, "ls", "--collections"); code != 1 || !strings.Contains(errs, "no ebofs store") {
				t.Errorf("in run %d there is no store, but: exit %d, %s", i, code, errs)
			}
		case d.Store.ID == fresh:
			if out, errs, code := program("fsck.ebofs", img); code != 0 && code != 4 || strings.Contains(out, " E-") {
				t.Errorf("in run %d the new store: exit %d: %s%s", i, code, out, errs)
			}
		case d.Store.ID != old:
			t.Errorf("in run %d it holds store %s", i, d.Store.ID)
		}
		// Whatever is there, mkfs can be run again.
		argv := []string{"mkfs.ebofs", "-q", "--force", img} // what is left in a file is somebody's
		if d.Store != nil {
			argv = []string{"mkfs.ebofs", "-q", "--destroy", d.Store.Short(), img}
		}
		if _, errs, code := program(argv...); code != 0 {
			t.Errorf("in run %d mkfs again: %s", i, errs)
		}
	}
	if killed == 0 {
		t.Log("mkfs was never slow enough to be killed")
	}
}
