package devices

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"
)

// TestHolders looks for the users of a disk with a mounted partition, a swap
// partition and one in an array, in made-up kernel file systems.
func TestHolders(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	sys := fstest.MapFS{
		"dev/block/8:16":                   {Data: []byte("../../devices/sdb"), Mode: fs.ModeSymlink | 0o777},
		"devices/sdb/dev":                  file("8:16\n"),
		"devices/sdb/sdb1/dev":             file("8:17\n"),
		"devices/sdb/sdb1/partition":       file("1\n"),
		"devices/sdb/sdb2/dev":             file("8:18\n"),
		"devices/sdb/sdb2/partition":       file("2\n"),
		"devices/sdb/sdb2/holders/md0/dev": file("9:0\n"),
		"devices/sdb/queue/dev":            file("8:17\n"), // no partition
	}
	proc := fstest.MapFS{
		"self/mountinfo": file("22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:17 / /home rw shared:1 - ext4 /dev/sdb1 rw\n31 22 8:17 /x /home rw - ext4 /dev/sdb1 rw\n"),
		"swaps":          file("Filename Type Size Used Priority\n/dev/sdb2 partition 1 0 -2\n/swap/sdb file 1 0 -2\n"),
		"locks":          file("1: POSIX  ADVISORY  WRITE 5 00:05:99 0 EOF\n2: FLOCK  ADVISORY  WRITE 812 00:05:123 0 EOF\n3: OFDLCK ADVISORY  WRITE -1 00:05:124 0 EOF\n4: OFDLCK ADVISORY  WRITE -1 00:05:125 0 EOF\n"),
		"812/comm":       file("ebofs\n"),
		"900/comm":       file("other\n"),
		"900/fdinfo/3":   file("pos:\t0\nlock:\t1: OFDLCK ADVISORY  WRITE -1 00:05:124 0 EOF\n"),
	}
	h := holders{sys: sys, proc: proc}
	h.block(8, 16)
	for inode := range uint64(3) {
		h.locks(0, 5, 123+inode)
	}
	want := "md0 (sdb2)|mounted on /home (sdb1)|swap (sdb2)|locked by ebofs (pid 812)|locked by other (pid 900)|locked by a process"
	if got := strings.Join(h.found, "|"); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if !h.gone {
		t.Error("a lock that no process has is not noticed")
	}
	h = holders{sys: sys, proc: proc}
	if h.locks(0, 5, 123); h.gone {
		t.Error("process 812 is there")
	}
	delete(proc, "812/comm")
	h = holders{sys: sys, proc: proc}
	if h.locks(0, 5, 123); !h.gone || strings.Join(h.found, "|") != "locked by a process" {
		t.Errorf("lock of a process that has ended: %v", h.found)
	}
	none := holders{sys: fstest.MapFS{}, proc: fstest.MapFS{}}
	none.block(8, 16)
	none.locks(1, 2, 3)
	if len(none.found) != 0 || Holders("/nonexistent") != nil {
		t.Errorf("out of nothing: %v", none.found)
	}
}

// TestUntilLeft tries again while nobody is known to have a file, but not for ever, and
// not when somebody has it.
func TestUntilLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(path, make([]byte, BlockSize), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &File{path: path}
	var slept time.Duration
	o := FileOptions{sleep: func(d time.Duration) { slept += d }}
	left := 3
	err := f.untilLeft(o, func() error {
		if left--; left >= 0 {
			return unix.EBUSY
		}
		return nil
	})
	if err != nil || slept != (1+2+4)*leaveStep {
		t.Errorf("left after three attempts: %v, slept %v", err, slept)
	}
	busy := func() error { return unix.EBUSY }
	slept = 0
	if err := f.untilLeft(o, busy); !errors.Is(err, unix.EBUSY) || slept < claimTimeout || slept >= claimTimeout+lockStep {
		t.Errorf("never left: %v, slept %v", err, slept)
	}
	for _, refused := range []error{unix.EACCES, unix.EAGAIN} {
		slept = 0
		attempts := 0
		err := f.untilLeft(o, func() error {
			attempts++
			return refused
		})
		if !errors.Is(err, refused) || slept != 0 || attempts != 2 {
			t.Errorf("refused by nobody who is known: %v, slept %v, %d attempts", err, slept, attempts)
		}
	}
	locked := true
	if err := f.untilLeft(o, func() error {
		if locked {
			locked = false
			return unix.EAGAIN
		}
		return nil
	}); err != nil || slept != 0 {
		t.Errorf("given up before anybody looked: %v, slept %v", err, slept)
	}
	user, err := OpenFile(path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer user.Close()
	slept = 0
	if err := f.untilLeft(o, busy); !errors.Is(err, unix.EBUSY) || slept != 0 {
		t.Errorf("in use: %v, slept %v", err, slept)
	}
}
