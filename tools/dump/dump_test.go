package dump_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/dump"
	"ebofs/tools/verb"
)

var bg = context.Background()

const coll = ebofs.CollectionID("files")

// image makes an image file with a small store in it; unless clean, the last
// transactions are in the log only.
func image(t *testing.T, clean bool) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "disk.img")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 64<<20); err != nil {
		t.Fatal(err)
	}
	dev, err := devices.OpenFile(path, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{Label: "sample", UUID: [16]byte{0xab, 0xcd}}); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	apply := func(fn func(x *ebofs.Txn)) {
		t.Helper()
		x := ebofs.NewTxn()
		fn(x)
		if err := s.Apply(bg, x); err != nil {
			t.Fatal(err)
		}
	}
	apply(func(x *ebofs.Txn) {
		x.MkColl(coll, ebofs.CollSpec{Shard: layout.NoShard, Pool: 1})
		x.Write(coll, ebofs.NewObjectID(1, "dir/big"), 8192, bytes.Repeat([]byte("data"), 30000))
		x.SetAttr(coll, ebofs.NewObjectID(1, "dir/big"), "mode", []byte("0644"))
		x.Write(coll, ebofs.NewObjectID(1, "small"), 0, []byte("hello"))
		kv := map[string][]byte{}
		for i := range 1500 {
			kv[fmt.Sprintf("k%04d", i)] = bytes.Repeat([]byte{byte(i)}, 50)
		}
		x.OmapSet(coll, ebofs.NewObjectID(1, "small"), kv)
	})
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	apply(func(x *ebofs.Txn) { x.Touch(coll, ebofs.NewObjectID(1, "late")) })
	if clean {
		if err := s.Close(bg); err != nil {
			t.Fatal(err)
		}
	} else {
		t.Cleanup(func() {
			if err := s.Close(bg); err == nil {
				t.Error("closed a store whose device is gone")
			}
		})
	}
	return path
}

// run calls the verb and returns its exit code and what it printed.
func run(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = dump.Main(bg, args, verb.Streams{Out: &o, Err: &e, Program: "ebofs"})
	return code, o.String(), e.String()
}

func TestPlain(t *testing.T) {
	path := image(t, true)
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"super"}, []string{"store       abcd0000-0000-0000-0000-000000000000", "label       sample", "features    inline-data", "slot H0", "newest", "collections  ", "closed cleanly", "3 objects of "}},
		{[]string{"label"}, []string{"block 0: store abcd0000-0000-0000-0000-000000000000, device 0", `"sample"`}},
		{[]string{"log"}, []string{"log at 0:1280, 8.0 MiB", "0 records"}},
		{[]string{"tree", "collections"}, []string{"files", "range 1/0/0"}},
		{[]string{"tree", "objects"}, []string{":::dir/big:head", ":::small:head", "1500 omap keys", "1 attributes"}},
		{[]string{"tree", "trash"}, []string{""}},
		{[]string{"object", "dir/big"}, []string{`object   "dir/big"`, "size     128192", "30 blocks", `"mode"`, "4 bytes"}},
		{[]string{"object", "small"}, []string{"5 bytes in the onode", "omap     1500 items"}},
		{[]string{"extents", "dir/big"}, []string{"        8192~118784"}},
		{[]string{"extents", "small"}, []string{"0~5 ", "in the onode"}},
		{[]string{"free"}, []string{"free      ", "stripes   ", "runs      "}},
		{[]string{"zones"}, []string{"zone        start", "     0 ", "    15 "}},
		{[]string{"epochs"}, []string{"epoch ", ", newest"}},
	} {
		code, out, errOut := run(append([]string{path}, c.args...)...)
		if code != 0 || errOut != "" {
			t.Errorf("%v: exit %d: %s", c.args, code, errOut)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%v: no %q in\n%s", c.args, w, out)
			}
		}
	}
}

// TestRefs shows what clones share.
func TestRefs(t *testing.T) {
	path := image(t, true)
	dev, err := devices.OpenFile(path, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s, err := ebofs.Open(bg, dev, ebofs.Options{Inline: true})
	if err != nil {
		t.Fatal(err)
	}
	x := ebofs.NewTxn()
	x.Clone(coll, ebofs.NewObjectID(1, "dir/big"), ebofs.NewObjectID(1, "copy"))
	if err := errors.Join(s.Apply(bg, x), s.Close(bg)); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := run(path, "tree", "refs")
	total := 0
	for _, line := range strings.Split(strings.TrimSpace(out), "\n") {
		var addr string
		var blocks, count int
		if _, err := fmt.Sscanf(line, "%s %d blocks mapped by %d extents", &addr, &blocks, &count); err != nil || count != 2 {
			t.Fatalf("%q: %v", line, err)
		}
		total += blocks
	}
	if code != 0 || errOut != "" || total != 30 {
		t.Fatalf("exit %d, %d blocks shared, want 30: %s%s", code, total, out, errOut)
	}
	if _, out, _ = run(path, "extents", "copy"); !strings.Contains(out, "shared") {
		t.Errorf("extents of the clone: %s", out)
	}
	if _, out, _ = run(path, "super"); !strings.Contains(out, "shared-blocks") {
		t.Errorf("features: %s", out)
	}
}

func TestJSON(t *testing.T) {
	path := image(t, true)
	get := func(args ...string) map[string]any {
		t.Helper()
		code, out, errOut := run(append([]string{"--format", "json", path}, args...)...)
		var doc map[string]any
		if err := json.Unmarshal([]byte(out), &doc); err != nil || code != 0 || errOut != "" || doc["ok"] != true {
			t.Fatalf("%v: exit %d %v\n%s%s", args, code, err, out, errOut)
		}
		if want := "ebofs.dump." + args[0] + "/1"; doc["schema"] != want {
			t.Errorf("schema %v, want %s", doc["schema"], want)
		}
		return doc
	}
	free := get("free")
	if f, u, r, all := free["free_bytes"].(float64), free["used_bytes"].(float64), free["reserved_bytes"].(float64), free["total_bytes"].(float64); f <= 0 || f+u+r != all {
		t.Errorf("%v", free)
	}
	sum := 0.0
	for _, b := range free["histogram"].([]any) {
		sum += b.(map[string]any)["total_bytes"].(float64)
	}
	if sum != free["free_bytes"] {
		t.Errorf("runs add up to %v, free %v", sum, free["free_bytes"])
	}
	if used := free["data_bytes"].(float64) + free["node_bytes"].(float64) + free["own_bytes"].(float64); used != free["used_bytes"] {
		t.Errorf("data, nodes and own add up to %v, used %v", used, free["used_bytes"])
	}
	zones := get("zones")["zones"].([]any)
	sum = 0
	for _, z := range zones {
		sum += z.(map[string]any)["free_blocks"].(float64) * 4096
	}
	if len(zones) != 16 || sum != free["free_bytes"] {
		t.Errorf("%d zones with %v bytes free, want %v", len(zones), sum, free["free_bytes"])
	}
	super := get("super")
	root := super["root"].(map[string]any)
	if root["counters"].(map[string]any)["objects"].(float64) != 3 || len(super["slots"].([]any)) != 4 || super["clean"] != true {
		t.Errorf("%v", super)
	}
	if n := len(get("tree", "objects")["entries"].([]any)); n != 3 {
		t.Errorf("%d objects", n)
	}
	ext := get("extents", "--crc", "dir/big")["extents"].([]any)
	crcs := 0
	for _, e := range ext {
		crcs += len(e.(map[string]any)["crc"].([]any))
	}
	if crcs != 30 {
		t.Errorf("%d checksums: %v", crcs, ext)
	}
	if l := get("label")["labels"].([]any); len(l) != 1 || l[0].(map[string]any)["text"] != "sample" {
		t.Errorf("%v", l)
	}

	// From the omap's root down to a leaf.
	omap := get("object", "small")["omap_tree"].(map[string]any)
	addr := omap["address"].(string)
	for level := omap["level"].(float64); ; level-- {
		n := get("node", addr)
		if n["level"] != level || n["tree"] != "omap" || n["self"] != addr {
			t.Fatalf("%v", n)
		}
		items := n["items"].([]any)
		if float64(len(items)) != n["item_count"] {
			t.Errorf("%d items: %v", len(items), n["item_count"])
		}
		if level == 0 {
			if it := items[0].(map[string]any); it["key"] != `"k0000"` || it["bytes"] != 50.0 {
				t.Errorf("%v", it)
			}
			break
		}
		addr = items[0].(map[string]any)["child"].(string)
	}
}

// TestUnclean shows the checkpoint and, apart, what waits in the log.
func TestUnclean(t *testing.T) {
	path := image(t, false)
	code, out, _ := run(path, "log", "--records")
	if code != 0 || !strings.Contains(out, "1 records") || !strings.Contains(out, "transaction 2: batch") {
		t.Errorf("%d %s", code, out)
	}
	if code, out, _ := run(path, "tree", "objects"); code != 0 || strings.Contains(out, "late") || !strings.Contains(out, "small") {
		t.Errorf("%d %s", code, out)
	}
	if _, _, errOut := run(path, "free"); !strings.Contains(errOut, "was not closed") {
		t.Error(errOut)
	}
}

func TestRefuses(t *testing.T) {
	path := image(t, true)
	empty := filepath.Join(t.TempDir(), "empty.img")
	if err := os.WriteFile(empty, make([]byte, 32<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		exit int
		want string
	}{
		{[]string{path, "tree", "omap"}, 1, "belongs to an object"},
		{[]string{path, "tree", "nonsense"}, 2, "not collections"},
		{[]string{path, "node", "nonsense"}, 2, "address"},
		{[]string{path, "node", "1:5"}, 1, "outside the device"},
		{[]string{path, "node", "99999999"}, 1, "outside the device"},
		{[]string{path, "node", "0:1"}, 1, "magic"},
		{[]string{path, "object", "missing"}, 1, "not found"},
		{[]string{path, "object", "1:00000000:::missing:head"}, 1, "not found"},
		{[]string{empty, "super"}, 1, "no ebofs store"},
		{[]string{filepath.Join(t.TempDir(), "none"), "super"}, 1, "no such file"},
		{[]string{path, "diff", "1", "2"}, 1, "epoch 1 is not kept, there are 3: not found"},
		{[]string{path, "diff", "x", "2"}, 2, `"x": not an epoch`},
		{[]string{path, "--epoch", "9", "free"}, 1, "epoch 9 is not kept"},
		{[]string{path, "--epoch", "9", "log"}, 2, "--epoch: log is not of one checkpoint"},
	} {
		code, out, errOut := run(c.args...)
		if code != c.exit || !strings.Contains(errOut, c.want) || out != "" {
			t.Errorf("%v: exit %d, want %d and %q:\n%s%s", c.args, code, c.exit, c.want, out, errOut)
		}
	}
}

// TestDamaged: what is damaged is shown as such and the rest still is.
func TestDamaged(t *testing.T) {
	path := image(t, true)
	flip := func(block, off int64) {
		t.Helper()
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var b [1]byte
		if _, err := f.ReadAt(b[:], block<<12+off); err != nil {
			t.Fatal(err)
		}
		b[0] ^= 1
		if _, err := f.WriteAt(b[:], block<<12+off); err != nil {
			t.Fatal(err)
		}
	}
	var super dump.Super
	_, out, _ := run("--format", "json", path, "super")
	if err := json.Unmarshal([]byte(out), &super); err != nil {
		t.Fatal(err)
	}
	flip(0, 50)
	flip(int64(super.Slots[0].Block), 50)
	if code, out, _ := run(path, "label"); code != 0 || !strings.Contains(out, "bad crc") {
		t.Error(out)
	}
	if code, out, _ := run(path, "super"); code != 0 || !strings.Contains(out, "slot H0     block 768: superblock 0:768: crc") || !strings.Contains(out, "3 objects of") {
		t.Error(out)
	}
	objects := layout.Addr(0)
	for _, tr := range super.Root.Trees {
		if tr.Name == "objects" {
			objects, _ = layout.ParseAddr(tr.Address)
		}
	}
	flip(int64(objects.Block()), 200)
	if code, out, _ := run(path, "tree", "objects"); code != 0 || !strings.Contains(out, "objects node at "+objects.String()) {
		t.Error(out)
	}
	// A damaged node is shown as far as it makes sense, and called damaged.
	if code, out, errOut := run(path, "node", objects.String()); code != 1 || !strings.Contains(out, "damaged, what follows may be wrong: node at device 0 block "+objects.String()[2:]+": crc is") ||
		!strings.Contains(out, "node "+objects.String()+" of tree objects") || !strings.Contains(out, "3 items") || !strings.Contains(errOut, "node at device 0 block") || strings.Contains(errOut, "inline root") {
		t.Errorf("exit %d: %s%s", code, out, errOut)
	}
	if code, out, _ := run(path, "node", objects.String(), "--format", "json"); code != 1 || !strings.Contains(out, `"tree":"objects"`) || !strings.Contains(out, `"code":"E-CORRUPT"`) {
		t.Errorf("exit %d: %s", code, out)
	}
	flip(int64(objects.Block()), 78) // where keys begin: nothing but the header is left
	if code, out, _ := run(path, "node", objects.String()); code != 1 || !strings.Contains(out, "node "+objects.String()+" of tree objects") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out, errOut := run(path, "node", "9"); code != 1 || out != "" || !strings.Contains(errOut, "node at device 0 block 9: magic is") {
		t.Errorf("exit %d: %s%s", code, out, errOut)
	}
	if code, _, errOut := run(path, "object", "small"); code != 1 || !strings.Contains(errOut, objects.String()[2:]) {
		t.Error(errOut)
	}
	root, _ := layout.ParseAddr(super.Root.Address)
	flip(int64(root.Block()), 100)
	if code, out, _ := run(path, "super"); code != 0 || !strings.Contains(out, "root        root record") {
		t.Error(out)
	}
	if code, _, errOut := run(path, "free"); code != 1 || !strings.Contains(errOut, "root record") {
		t.Error(errOut)
	}
}
