package pg_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ebofs/tools/local"
	"ebofs/tools/pg"
	"ebofs/tools/verb"
)

// run runs the verb and returns what it prints.
func run(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := pg.Main(t.Context(), args, verb.Streams{Out: &out, Err: &errs}); code != 0 {
		t.Fatalf("ebofs pg %q: exit %d: %s", args, code, errs.String())
	}
	return out.String()
}

// TestMove does what docs/ops/add-or-replace-disk.md says: the map takes all groups
// from one OSD, which the other cannot get; they are carried there, and a stock
// client finds every object as it was.
func TestMove(t *testing.T) {
	if testing.Short() {
		t.Skip("a whole cluster")
	}
	if _, err := exec.LookPath("rados"); err != nil && os.Geteuid() == 0 {
		t.Fatalf("%v: run .ci/setup test", err)
	} else if err != nil {
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	c, err := local.Make(ctx, local.Options{Dir: t.TempDir(), OSDs: 2, OSDBytes: 256 << 20, Auth: "none", Mode: "crc"})
	must(err)
	must(c.Start(ctx))
	defer func() { must(c.Stop(context.Background())) }()
	rados := func(in string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(ctx, "rados", append([]string{"-c", c.Conf(), "-p", "p"}, args...)...)
		cmd.Stdin = strings.NewReader(in)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("rados %q: %v: %s", args, err, out)
		}
		return string(out)
	}
	command := func(prefix string, args ...any) {
		t.Helper()
		_, err := c.Command(ctx, prefix, args...)
		must(err)
	}

	command("osd pool create", "pool", "p", "pg_num", 8)
	must(c.WaitClean(ctx))
	const objects = 12
	for i := range objects {
		rados(fmt.Sprint("content ", i), "put", fmt.Sprint("o", i), "-")
	}
	rados("", "setxattr", "o1", "colour", "green")
	rados("", "setomapval", "o1", "k", "v")

	command("osd crush reweight", "name", "osd.1", "weight", 0.0)
	must(c.StopOSD(ctx, 0))
	must(c.StopOSD(ctx, 1))
	var list struct {
		PGs []struct {
			ID      string `json:"pgid"`
			Objects int    `json:"num_objects"`
		} `json:"pgs"`
	}
	must(json.Unmarshal([]byte(run(t, c.Device(1), "ls", "--format", "json")), &list))
	moved := 0
	for _, g := range list.PGs {
		file := filepath.Join(t.TempDir(), g.ID+".pg")
		run(t, c.Device(1), "export", g.ID, file)
		run(t, c.Device(0), "import", file)
		run(t, c.Device(1), "rm", "--force", g.ID)
		moved += g.Objects
	}
	if moved == 0 || moved == objects {
		t.Fatalf("%d of %d objects were on osd.1: nothing is shown", moved, objects)
	}
	must(c.StartOSD(ctx, 0))
	must(c.StartOSD(ctx, 1))
	must(c.WaitClean(ctx))
	for i := range objects {
		if got := rados("", "get", fmt.Sprint("o", i), "-"); got != fmt.Sprint("content ", i) {
			t.Errorf("o%d: %q", i, got)
		}
	}
	if got := rados("", "getxattr", "o1", "colour") + rados("", "listomapkeys", "o1"); got != "greenk\n" {
		t.Errorf("o1 has %q", got)
	}
}
