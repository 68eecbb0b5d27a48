package device

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/devices/devicetest"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/tools/verb"
)

// TestDefrag brings the free space of an image together, and says so.
func TestDefrag(t *testing.T) {
	ctx := context.Background()
	path := devicetest.Image(t, 64<<20)
	dev, err := devices.OpenFile(path, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ebofs.Format(ctx, dev, ebofs.FormatOptions{LogBytes: 4 << 20}); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(ctx, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	id := func(i int) ebofs.ObjectID { return ebofs.NewObjectID(1, fmt.Sprint("o", i)) }
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: -1, Pool: 1})
	for i := range 150 {
		x.Write("c", id(i), 0, bytes.Repeat([]byte{byte(i) | 1}, 128<<10))
		x.Zero("c", id(i), 16<<10, 112<<10)
		if err := s.Apply(ctx, x); err != nil {
			t.Fatal(err)
		}
		x = ebofs.NewTxn()
	}
	if err := s.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := dev.Close(); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) (string, string) {
		t.Helper()
		var out, errs bytes.Buffer
		if code := Main(ctx, append([]string{"defrag"}, args...), verb.Streams{Out: &out, Err: &errs}); code != 0 {
			t.Fatalf("%v: exit %d: %s%s", args, code, out.String(), errs.String())
		}
		return out.String(), errs.String()
	}
	var r Defragmented
	out, _ := run("--format", "json", "--score", "0.01", "--objects", path)
	if err := json.Unmarshal([]byte(out), &r); err != nil || !r.Complete || !r.Reached || r.After > 0.01 || r.Before < 0.1 || r.Bytes < 1<<20 || r.Passes == 0 {
		t.Fatalf("%v: %s", err, out)
	}
	if out, _ := run("--objects", path); !strings.Contains(out, "0 B of objects lay in many pieces") {
		t.Errorf("objects: %s", out)
	}
	if out, errs := run(path); !strings.Contains(out, "moved 0 B") || !strings.Contains(errs, "nothing to be done") {
		t.Errorf("again: %s%s", out, errs)
	}
	if dev, err = devices.OpenFile(path, devices.FileOptions{}); err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if rep, err := check.Run(ctx, dev, check.Options{Level: check.Deep}); err != nil || !rep.OK() || !rep.Complete {
		t.Fatalf("%v, %+v", err, rep)
	}
}
