package config

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/tools/verb"
)

// TestShow: show has a line for every option that concerns the daemon, in order, and
// no secret. What single options look like is in tools/verbs/testdata/cli/config.
func TestShow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ceph.conf")
	if err := os.WriteFile(path, []byte("[global]\nkey = s3cret\n[osd]\nosd_memory_target = 2G\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, errs bytes.Buffer
	if code := Main(t.Context(), []string{"show", "osd.3", "-c", path}, verb.Streams{Out: &out, Err: &errs}); code != 0 || errs.Len() > 0 {
		t.Fatalf("exit %d: %s", code, errs.String())
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	all := conf.Defaults(ceph.EntityName{Type: ceph.TypeOSD, ID: "3"}).All()
	if len(lines) != len(all) {
		t.Fatalf("%d lines, %d options:\n%s", len(lines), len(all), out.String())
	}
	for i, s := range all {
		words := strings.Fields(lines[i])
		if words[0] != s.Name || len(words) < 3 {
			t.Errorf("line %d: %q, want option %s", i, lines[i], s.Name)
		}
		want := map[string]string{"key": "[redacted] " + path + ":2", "osd_memory_target": "2G " + path + ":4"}[s.Name]
		if want != "" && strings.Join(words[1:], " ") != want {
			t.Errorf("%q, want %q", lines[i], want)
		}
	}
	if strings.Contains(out.String(), "s3cret") {
		t.Error("a secret is shown")
	}
}
