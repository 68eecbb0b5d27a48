package device

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"ebofs/tools/probe"
	"ebofs/tools/verb"
)

// TestDescribe: every reason against a disk is listed, not only the first.
func TestDescribe(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	c := &verb.Call{Streams: verb.Streams{Now: func() time.Time { return now }}}
	good := probe.Disk{Path: "/dev/sdb", Report: probe.Report{Bytes: 1 << 40}}
	bad := good
	bad.ReadOnly, bad.InUse, bad.Bytes = true, true, 1<<20
	bad.Users = []probe.User{{What: "mounted on /x (sdb)"}, {What: "swap (sdb2)"}}
	bad.Store = &probe.Store{ID: "7d1f02aa-4c0e-4b6e-9d5f-0f4f8e2a9b11", OSD: -1, Objects: 1, Written: now.Add(-72 * time.Hour)}
	bad.Findings = []probe.Finding{{Noun: "an ext4 file system", Label: "x"}}
	bad.Err = errors.New("read 4096 bytes at 0: input/output error")
	busy := good
	busy.InUse = true
	for _, x := range []struct {
		l    probe.Listed
		want string
	}{
		{probe.Listed{Path: "/dev/sdb", Disk: &good}, ""},
		{probe.Listed{Path: "/dev/sdb", Disk: &busy}, "in use"},
		{probe.Listed{Path: "/dev/sdb", Err: errors.New("/dev/sdb: permission denied")}, "permission denied"},
		{probe.Listed{Path: "/dev/sdb", Disk: &bad}, `read-only; smaller than 32 MiB; mounted on /x (sdb); swap (sdb2); read 4096 bytes at 0: input/output error; holds store 7d1f02aa (1 object, used 3 days ago); holds an ext4 file system "x"`},
	} {
		r := describe(x.l, c)
		if got := strings.Join(r.Reasons, "; "); got != x.want || r.Usable != (x.want == "") {
			t.Errorf("%q, want %q", got, x.want)
		}
	}
}

// TestList runs on whatever disks this machine has.
func TestList(t *testing.T) {
	if _, err := os.Stat("/sys/block"); err != nil {
		t.Skip("no sysfs")
	}
	var plainOut, jsonOut bytes.Buffer
	if code := Main(context.Background(), []string{"ls"}, verb.Streams{Out: &plainOut}); code != 0 {
		t.Fatal(code)
	}
	if code := Main(context.Background(), []string{"ls", "--format", "json"}, verb.Streams{Out: &jsonOut}); code != 0 {
		t.Fatal(code)
	}
	var v struct{ Disks []row }
	if err := json.Unmarshal(jsonOut.Bytes(), &v); err != nil {
		t.Fatal(err)
	}
	for _, d := range v.Disks {
		if d.Usable != (len(d.Reasons) == 0) || !strings.HasPrefix(d.Path, "/dev/") {
			t.Errorf("%+v", d)
		}
	}
}

func TestUdevNames(t *testing.T) {
	for in, want := range map[string][2]string{"plain": {"plain", "plain"}, "two words": {"two_words", `two\x20words`}, "a/b\n$x": {"a_b__x", `a\x2fb\x0a\x24x`}, "é": {"_", `\xc3\xa9`}} {
		if plain(in) != want[0] || encode(in) != want[1] {
			t.Errorf("%q: %q, %q", in, plain(in), encode(in))
		}
	}
}
