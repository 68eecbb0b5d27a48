package mon_test

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// varies is what is another thing in every run.
var varies = []struct {
	is   *regexp.Regexp
	text string
}{
	{regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000`), "<TIME>"},
	{regexp.MustCompile(`[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}`), "<UUID>"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+/\d+`), "<ADDR>"},
	{regexp.MustCompile(`(age|since) \d+[smhdw]`), "$1 <AGE>"},
	{regexp.MustCompile(`for \d+s`), "for <AGE>"},
	{regexp.MustCompile(` +\d+s( +0'0)`), " <AGE>$1"},
	{regexp.MustCompile(`[A-Za-z0-9+/]{38}==`), "<KEY>"},
	{regexp.MustCompile(`epoch: e\d+|last_osdmap_epoch \d+|version \d+|osdmap e\d+|epoch \d+|last_change \d+|up_from \d+|up_thru \d+|crush_version \d+| \d+:\d+ `), "<N>"},
}

// TestPlain: what people read of the commands that they use is in a file.
func TestPlain(t *testing.T) {
	c, x, osds := withOSDs(t, 3)
	x.ok(nil, "osd pool create", "pool", "rbd", "pg_num", 4)
	x.ok(nil, "osd pool application enable", "pool", "rbd", "app", "rbd")
	x.ok(nil, "osd pool create", "pool", "small", "pg_num", 1, "size", 2)
	x.ok(nil, "osd pool set-quota", "pool", "small", "field", "max_objects", "val", "1000")
	x.ok(nil, "config set", "who", "osd", "name", "debug_osd", "value", "5")
	x.ok(nil, "osd set", "key", "noout")
	st := c.m.State()
	for _, o := range osds {
		o.report(st.OSD)
	}
	x.ok(nil, "osd down", "ids", []string{"2"})
	x.ok(nil, "health mute", "code", "OSDMAP_FLAGS")
	var b bytes.Buffer
	for _, line := range []string{
		"status", "health", "health detail=detail", "df", "df detail=detail", "osd tree", "osd df", "osd df output_method=tree", "osd status", "osd stat", "osd perf", "osd pool ls detail=detail", "osd pool stats",
		"osd pool get pool=rbd var=all", "osd pool get-quota pool=small", "pg stat", "pg ls", "pg dump dumpcontents=pgs_brief", "pg dump dumpcontents=sum", "pg dump dumpcontents=pools", "pg dump dumpcontents=osds", "pg dump_stuck stuckops=stale",
		"osd crush tree", "osd crush rule ls", "mon stat", "mon dump", "config dump", "config get who=osd.1", "config log", "osd dump", "osd lspools", "osd blocked-by", "osd utilization", "osd ls", "device ls", "auth get entity=client.admin",
		"osd getmaxosd", "osd map pool=rbd object=x", "pg map pgid=1.0", "osd numa-status", "osd erasure-code-profile get name=default", "mon feature ls", "config help key=osd_pool_default_size",
	} {
		words := strings.Fields(line)
		args := []any{"format", "plain"}
		prefix := ""
		for _, w := range words {
			if k, v, ok := strings.Cut(w, "="); ok {
				args = append(args, k, v)
			} else {
				prefix = strings.TrimSpace(prefix + " " + w)
			}
		}
		a, err := x.run(prefix, args...)
		if err != nil || a.Result != 0 {
			t.Fatalf("%s: %v %+v", line, err, a)
		}
		text := string(a.Output)
		for _, v := range varies {
			text = v.is.ReplaceAllString(text, v.text)
		}
		b.WriteString("$ ceph " + line + "\n" + strings.TrimRight(text, "\n") + "\n\n")
	}
	const file = "testdata/plain.txt"
	if *rewrite {
		if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if want, err := os.ReadFile(file); err != nil || !bytes.Equal(want, b.Bytes()) {
		got := strings.Split(b.String(), "\n")
		for i, l := range strings.Split(string(want), "\n") {
			if i >= len(got) || got[i] != l {
				t.Fatalf("%s:%d: want %q, got %q; -rewrite shows all", file, i+1, l, got[min(i, len(got)-1)])
			}
		}
		t.Fatalf("%s is shorter than what commands print: %v", file, err)
	}
}
