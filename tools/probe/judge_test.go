package probe

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"ebofs/devices"
	"ebofs/tools/verb"
)

func TestJudge(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	store := &Store{ID: "7d1f02aa-4c0e-4b6e-9d5f-0f4f8e2a9b11", OSD: 3, Objects: 1204331, Cluster: "3f0c9a1e-0000-4000-8000-000000000000", Role: "main", Written: now.Add(-2 * time.Hour)}
	plain := func() *Disk { return &Disk{Path: "/dev/sdb", Name: "sdb", Report: Report{Bytes: 1 << 40}} }
	ext4 := Finding{Kind: "ext4", Noun: "an ext4 file system", Label: "backup"}
	gpt := Finding{Kind: "gpt", Noun: "a GPT partition table", Partitions: []Partition{{Name: "sdb1", Findings: []Finding{ext4}}, {Name: "sdb2", Findings: []Finding{{Kind: "swap"}}}}}
	inside := Finding{Kind: "gpt", Noun: "a GPT partition table", Partitions: []Partition{{Name: "sdb1", Store: store}}}
	for _, c := range []struct {
		name   string
		change func(*Disk)
		ask    Ask
		want   string // message, then hint; or warnings; or ""
	}{
		{"empty disk", func(*Disk) {}, Ask{}, ""},
		{"read-only", func(d *Disk) { d.ReadOnly = true; d.InUse = true }, Ask{}, "E-READ-ONLY /dev/sdb: read-only|Nothing was written."},
		{"too small", func(d *Disk) { d.Bytes = 1 << 20; d.InUse = true }, Ask{MinBytes: 32 << 20}, "E-TOO-SMALL /dev/sdb: too small: 1.0 MiB, needs at least 32 MiB|Nothing was written."},
		{"mounted", func(d *Disk) {
			d.InUse, d.Users, d.Store = true, []User{{"mounted on /home (sdb1)", "umount /home"}, {What: "locked by a process"}}, store
		}, Ask{Force: true, Destroy: []string{"7d1f02aa"}},
			"E-IN-USE /dev/sdb: in use: mounted on /home (sdb1), locked by a process|Nothing was written; --force does not change this. First: umount /home"},
		{"busy, nobody found", func(d *Disk) { d.InUse = true }, Ask{Force: true}, "E-IN-USE /dev/sdb: in use|Nothing was written; --force does not change this."},
		{"unreadable", func(d *Disk) { d.Err = fmt.Errorf("read 65536 bytes at 0: %w", unix.EIO) }, Ask{Force: true},
			"E-IO /dev/sdb: read 65536 bytes at 0: input/output error|Nothing was written. What cannot be read is not taken for empty."},
		{"store", func(d *Disk) { d.Store = store }, Ask{Force: true},
			"E-STORE /dev/sdb: holds store 7d1f02aa (osd.3, cluster 3f0c9a1e, 1204331 objects, used 2 h ago)|Nothing was written. To destroy exactly this store: mkfs.ebofs --destroy 7d1f02aa /dev/sdb"},
		{"store, named", func(d *Disk) { d.Store = store }, Ask{Destroy: []string{"7d1f02aa"}}, ""},
		{"store, named in full", func(d *Disk) { d.Store = store }, Ask{Destroy: []string{"7d1f02aa-4c0e-4b6e-9d5f-0f4f8e2a9b11"}}, ""},
		{"store, named too shortly", func(d *Disk) { d.Store = store }, Ask{Destroy: []string{"7d1f02a"}},
			"E-NO-STORE /dev/sdb: --destroy 7d1f02a: it holds store 7d1f02aa (osd.3, cluster 3f0c9a1e, 1204331 objects, used 2 h ago)|Nothing was written."},
		{"another store named", func(d *Disk) { d.Store = store }, Ask{Destroy: []string{"deadbeef"}},
			"E-NO-STORE /dev/sdb: --destroy deadbeef: it holds store 7d1f02aa (osd.3, cluster 3f0c9a1e, 1204331 objects, used 2 h ago)|Nothing was written."},
		{"store named, none there", func(d *Disk) { d.Findings = []Finding{ext4} }, Ask{Destroy: []string{"7d1f02aa"}, Force: true},
			"E-NO-STORE /dev/sdb: --destroy 7d1f02aa: it holds no store|Nothing was written."},
		{"store and partition table", func(d *Disk) { d.Store, d.Findings = store, []Finding{gpt} }, Ask{},
			`E-STORE /dev/sdb: holds store 7d1f02aa (osd.3, cluster 3f0c9a1e, 1204331 objects, used 2 h ago), and a GPT partition table with 2 partitions (sdb1 ext4 "backup", sdb2 swap)|Nothing was written. To destroy exactly this store: mkfs.ebofs --destroy 7d1f02aa --force /dev/sdb`},
		{"store and partition table, half asked", func(d *Disk) { d.Store, d.Findings = store, []Finding{gpt} }, Ask{Destroy: []string{"7d1f02aa"}},
			`E-SIGNATURE /dev/sdb: holds a GPT partition table with 2 partitions (sdb1 ext4 "backup", sdb2 swap)|Nothing was written. To erase it: mkfs.ebofs --force --destroy 7d1f02aa /dev/sdb`},
		{"store in a partition, forced", func(d *Disk) { d.Findings = []Finding{inside} }, Ask{Force: true},
			"E-STORE /dev/sdb: holds a GPT partition table with 1 partition (sdb1 store 7d1f02aa (osd.3, cluster 3f0c9a1e, 1204331 objects))|Nothing was written. To destroy exactly this store: mkfs.ebofs --destroy 7d1f02aa --force /dev/sdb"},
		{"partition table", func(d *Disk) { d.Findings = []Finding{gpt} }, Ask{},
			`E-SIGNATURE /dev/sdb: holds a GPT partition table with 2 partitions (sdb1 ext4 "backup", sdb2 swap)|Nothing was written. To erase it: mkfs.ebofs --force /dev/sdb`},
		{"partition table, forced", func(d *Disk) { d.Findings = []Finding{gpt} }, Ask{Force: true}, ""},
		{"unknown data in a file", func(d *Disk) { d.DataAt = new(int64) }, Ask{},
			"E-SIGNATURE /dev/sdb: holds unknown data from byte 0 on, and is a file: taken for somebody's|Nothing was written. If nobody needs it: mkfs.ebofs --force /dev/sdb"},
		{"unknown data in a file, forced", func(d *Disk) { d.DataAt = new(int64) }, Ask{Force: true}, ""},
		{"unknown data", func(d *Disk) { d.Residue = []Residue{{"last", 4 << 20, strings.Repeat("ab", 32)}} }, Ask{},
			"/dev/sdb: unknown data in the last 4 MiB (sha256 abababababababab), taken for nobody's"},
	} {
		d := plain()
		c.change(d)
		c.ask.Now = now
		c.ask.Command = func(flags ...string) string {
			return verb.Streams{Program: "mkfs.ebofs"}.Command("mkfs", append(flags, d.Path)...)
		}
		warnings, refusal := Judge(d, c.ask)
		got := strings.Join(warnings, "\n")
		if refusal != nil {
			got = refusal.Code + " " + refusal.Message + "|" + refusal.Hint
		}
		if got != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestCures(t *testing.T) {
	y := system{sys: fstest.MapFS{
		"block/dm-0/dm/name": {Data: []byte("my--group-root\n")}, "block/dm-0/dm/uuid": {Data: []byte("LVM-abc\n")},
		"block/dm-1/dm/name": {Data: []byte("vault\n")}, "block/dm-1/dm/uuid": {Data: []byte("CRYPT-LUKS2-x\n")},
		"block/dm-2/dm/name": {Data: []byte("thing\n")},
	}}
	for what, want := range map[string]User{
		`mounted on /mnt/a\040b (sdb1)`: {`mounted on /mnt/a\040b (sdb1)`, "umount /mnt/a b"},
		"swap (sdb2)":                   {"swap (sdb2)", "swapoff /dev/sdb2"},
		"locked by ebofs (pid 812)":     {"locked by ebofs (pid 812)", "kill 812"},
		"locked by a process":           {"locked by a process", ""},
		"dm-0 (sdb1)":                   {`held by LVM volume "my--group-root" (sdb1)`, "vgchange -an my-group"},
		"dm-1 (sdb)":                    {`held by encrypted volume "vault" (sdb)`, "cryptsetup close vault"},
		"dm-2 (sdb)":                    {`held by device-mapper "thing" (sdb)`, "dmsetup remove thing"},
		"dm-3 (sdb)":                    {"held by device-mapper dm-3 (sdb)", ""},
		"md0 (sdb)":                     {"held by RAID md0 (sdb)", "mdadm --stop /dev/md0"},
		"bcache0 (sdb)":                 {"held by bcache0 (sdb)", "echo 1 > /sys/block/bcache0/bcache/stop"},
		"drbd1 (sdb)":                   {"held by drbd1 (sdb)", ""},
	} {
		if got := y.cure(what); got != want {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
}

// TestUsersOfImage: a loop device over it, a swap file, a process that locks it.
func TestUsersOfImage(t *testing.T) {
	img := filepath.Join(t.TempDir(), "x.img")
	if err := os.WriteFile(img, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(img)
	if err != nil {
		t.Fatal(err)
	}
	y := system{
		sys:     fstest.MapFS{"block/loop7/loop/backing_file": {Data: []byte(real + "\n")}, "block/loop8/loop/backing_file": {Data: []byte("/other\n")}},
		proc:    fstest.MapFS{"swaps": {Data: []byte("Filename Type Size Used Priority\n" + real + " file 1 0 -2\n")}},
		holders: func(string) []string { return nil },
	}
	got := y.users(img, false)
	if len(got) != 2 || got[0] != (User{"behind /dev/loop7", "losetup -d /dev/loop7"}) || got[1].What != "swap file" {
		t.Fatalf("%+v", got)
	}
	y.sys, y.proc = fstest.MapFS{}, fstest.MapFS{"self/mountinfo": {Data: []byte("36 35 0:50 / /mnt/b rw - btrfs " + real + " rw\n37 35 8:1 / / rw - ext4 /dev/nope rw\n")}}
	if got := y.users(img, true); len(got) != 1 || got[0].Cure != "umount /mnt/b" {
		t.Fatalf("by the source of a mount: %+v", got)
	}
	if got := y.users(img, false); got != nil {
		t.Fatalf("a file that is not busy: %+v", got)
	}
	d, err := Look(img)
	if err != nil || d.InUse {
		t.Fatalf("%+v, %v", d, err)
	}
	dev, err := devices.OpenFile(img, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	d, err = Look(img)
	if err != nil || !d.InUse || len(d.Users) != 1 || !strings.HasPrefix(d.Users[0].What, "locked by ") || d.Users[0].Cure != fmt.Sprintf("kill %d", os.Getpid()) {
		t.Fatalf("%+v, %v", d, err)
	}
	if _, refusal := Judge(d, Ask{Force: true}); refusal == nil || refusal.Code != CodeInUse {
		t.Fatalf("%+v", refusal)
	}
}

func TestLookRefusals(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := unix.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]struct {
		err  error
		code string
		text string
	}{
		dir:                          {ErrNotDevice, CodeNotDevice, dir + ": not a block device or regular file: it is a directory"},
		"/dev/null":                  {ErrNotDevice, CodeNotDevice, "/dev/null: not a block device or regular file: it is a character device"},
		pipe:                         {ErrNotDevice, CodeNotDevice, pipe + ": not a block device or regular file: it is a pipe"},
		filepath.Join(dir, "absent"): {fs.ErrNotExist, CodeNotDevice, filepath.Join(dir, "absent") + ": no such file or directory"},
		empty:                        {ErrEmpty, CodeNotDevice, empty + ": holds no bytes"},
	} {
		_, err := Look(p)
		if !errors.Is(err, want.err) || err.Error() != want.text {
			t.Errorf("Look(%s): %v, want %s", p, err, want.text)
		}
		if f := Explain(err); f.Code != want.code || f.Hint != "Nothing was written." {
			t.Errorf("%s: %+v", p, f)
		}
	}
}

// TestDisks lists a machine that is only described.
func TestDisks(t *testing.T) {
	y := system{sys: fstest.MapFS{
		"block/sdb/size": {Data: []byte("100\n")}, "block/sda/size": {Data: []byte("100\n")}, "block/loop10/size": {Data: []byte("8\n")},
		"block/loop2/size": {Data: []byte("8\n")}, "block/loop3/size": {Data: []byte("0\n")}, "block/cciss!c0d0/size": {Data: []byte("8\n")},
	}, proc: fstest.MapFS{}, holders: func(string) []string { return nil }}
	list, err := disks(y, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, l := range list {
		names = append(names, filepath.Base(l.Path))
		if l.Err == nil {
			t.Errorf("%s was found in an empty directory", l.Path)
		}
	}
	if got := strings.Join(names, " "); got != "c0d0 loop2 loop10 sda sdb" {
		t.Error(got)
	}
	if _, err := disks(system{sys: fstest.MapFS{}}, "/dev"); err == nil {
		t.Error("a machine without sysfs lists disks")
	}
}
