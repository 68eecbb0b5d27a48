package fsck

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/btree"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// ruin writes over places of an image.
func ruin(t *testing.T, img string, fn func(p []byte)) []byte {
	t.Helper()
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	fn(p)
	if err := os.WriteFile(img, p, 0o600); err != nil {
		t.Fatal(err)
	}
	return p
}

// record returns the image's root record.
func record(t *testing.T, img string) layout.RootRecord {
	t.Helper()
	dev, err := devices.OpenFile(img, devices.FileOptions{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	f, err := ebofs.Find(bg, dev)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ebofs.ReadRoots(bg, dev, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	return r.Record
}

// zoneTable returns where the image's zone table is, in bytes.
func zoneTable(t *testing.T, img string) int {
	t.Helper()
	return int(record(t, img).ZoneTables[0].Addr.Block()) * layout.BlockSize
}

// TestRepair: -y repairs with a way back, and says both.
func TestRepair(t *testing.T) {
	img := image(t)
	undo := filepath.Join(t.TempDir(), "undo")
	at := zoneTable(t, img)
	before := ruin(t, img, func(p []byte) { p[at+100] ^= 1; clear(p[:4096]) })
	out, errs, code := run(bg, img)
	if code != 4 || !strings.Contains(out, "Repair:  ebofs fsck -y --undo ") && !strings.Contains(out, "Repair:  fsck.ebofs -y --undo ") {
		t.Errorf("check: exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := run(bg, "-y", img); code != 16 || !strings.Contains(errs, "--undo FILE or --no-undo") {
		t.Errorf("-y alone: exit %d: %s%s", code, out, errs)
	}
	out, errs, code = run(bg, "-y", "--undo", undo, img)
	if code != 1 || errs != "" || !strings.Contains(out, "  repaired  wrote the label at block 0 anew\n") || !strings.Contains(out, "after the repair") || !strings.Contains(out, "clean, 1 object\n") {
		t.Errorf("repair: exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := run(bg, "--level", "deep", img); code != 0 {
		t.Errorf("afterwards: exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := run(bg, "-y", "--undo", undo, img); code != 0 || !strings.Contains(out, "clean") {
		t.Errorf("a second repair has nothing to do: exit %d: %s%s", code, out, errs)
	}
	for range 2 {
		out, errs, code = run(bg, "--apply-undo", undo, img)
		if p, _ := os.ReadFile(img); code != 0 || !bytes.Equal(p, before) || !strings.Contains(out, "written back") {
			t.Errorf("undo: exit %d: %s%s", code, out, errs)
		}
	}
	if out, errs, code := run(bg, "-y", "--undo", undo, img); code != 8 || !strings.Contains(errs, "such a file") {
		t.Errorf("an undo file is overwritten: exit %d: %s%s", code, out, errs)
	}
	out, _, code = run(bg, "-y", "--no-undo", "--format", "json", img)
	var v struct {
		OK     bool
		Exit   int
		Errors int
		Repair struct {
			Mode    string
			Actions []struct{ Code, What string }
			Before  struct{ Errors, Warnings int }
		}
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 1 || v.Exit != 1 || v.Repair.Mode != "all" || len(v.Repair.Actions) < 2 || v.Repair.Before.Errors == 0 {
		t.Errorf("json: exit %d, %v: %s", code, err, out)
	}
}

// leafGone makes a store of 20 objects, with or without kept epochs, whose leaf of
// the tree of objects is damaged.
func leafGone(t *testing.T, keep int) (img string) {
	t.Helper()
	img = filepath.Join(t.TempDir(), "disk.img")
	dev, err := devices.OpenFile(img, devices.FileOptions{CreateBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if _, err := ebofs.Format(bg, dev, ebofs.FormatOptions{KeepEpochs: keep}); err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	x := ebofs.NewTxn()
	x.MkColl("c", ebofs.CollSpec{Shard: layout.NoShard, Pool: 1})
	for i := range 20 {
		x.Write("c", ebofs.NewObjectID(1, fmt.Sprintf("victim%d", i)), 0, []byte("all work and no play"))
	}
	if err := errors.Join(s.Apply(bg, x), s.Checkpoint(bg)); err != nil {
		t.Fatal(err)
	}
	x = ebofs.NewTxn()
	x.Write("c", ebofs.NewObjectID(1, "victim0"), 0, []byte("changed"))
	if err := errors.Join(s.Apply(bg, x), s.Close(bg)); err != nil {
		t.Fatal(err)
	}
	at := leafAt(t, img)
	ruin(t, img, func(p []byte) { p[at+100] ^= 1 })
	return img
}

// leafAt returns where the leaf of the tree of objects is, in bytes.
func leafAt(t *testing.T, img string) int {
	t.Helper()
	root := record(t, img).Objects
	if root.Kind != btree.RootNode || root.Ptr.Level != 0 {
		t.Fatalf("the tree of objects is no leaf: %+v", root)
	}
	return int(layout.Addr(root.Ptr.Addr).Block()) * layout.BlockSize
}

// TestLost: a repair that loses objects does not call the store repaired.
func TestLost(t *testing.T) {
	img := leafGone(t, 0)
	undo := filepath.Join(t.TempDir(), "undo")
	out, errs, code := run(bg, "-y", "--undo", undo, img)
	if code != 5 || !strings.HasSuffix(out, "something is lost for good here: 20 objects are gone. Restore it from another copy\n") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := run(bg, "--apply-undo", undo, img); code != 0 {
		t.Fatalf("undo: exit %d: %s%s", code, out, errs)
	}
	out, _, code = run(bg, "-y", "--no-undo", "--format", "json", img)
	var v struct {
		OK     bool
		Exit   int
		Repair struct{ Lost, Gone int }
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil || code != 5 || v.OK || v.Exit != 5 || v.Repair.Lost != 1 || v.Repair.Gone != 20 {
		t.Errorf("json: exit %d, %v: %s", code, err, out)
	}
}

// TestLostButKept: what a kept epoch may hold is not lost without being asked for.
func TestLostButKept(t *testing.T) {
	img := leafGone(t, 3)
	before, _ := os.ReadFile(img)
	out, errs, code := run(bg, "-y", "--no-undo", img)
	if code != 4 || !strings.Contains(errs, "kept epochs may hold what the repair would lose: ") || !strings.Contains(errs, "--epoch E DIR") || !strings.Contains(errs, "--drop-epochs") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if p, _ := os.ReadFile(img); !bytes.Equal(p, before) {
		t.Error("something was written")
	}
	if out, errs, code := run(bg, "--drop-epochs", img); code != 16 {
		t.Errorf("--drop-epochs alone: exit %d: %s%s", code, out, errs)
	}
	out, errs, code = run(bg, "-y", "--no-undo", "--drop-epochs", img)
	if code != 5 || !strings.Contains(out, "repaired  dropped the kept epochs ") || !strings.Contains(out, "20 objects are gone") {
		t.Errorf("--drop-epochs: exit %d: %s%s", code, out, errs)
	}
}

// TestKeptDropped: a repair that loses nothing says that kept epochs go.
func TestKeptDropped(t *testing.T) {
	img := leafGone(t, 3)
	at := zoneTable(t, img)
	leaf := leafAt(t, img)
	ruin(t, img, func(p []byte) { p[leaf+100] ^= 1; p[at+100] ^= 1 })
	out, errs, code := run(bg, "-y", "--no-undo", img)
	if code != 1 || !strings.Contains(out, "repaired  dropped the kept epochs ") || strings.Contains(out, "lost") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
}

// TestPreen: -p restores copies, and leaves alone what may be somebody's.
func TestPreen(t *testing.T) {
	img := image(t)
	ruin(t, img, func(p []byte) { clear(p[:4096]); p[768*4096+5] ^= 1 })
	if out, errs, code := run(bg, "-p", img); code != 1 || !strings.Contains(out, "all four slots") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	before := ruin(t, img, func(p []byte) { clear(p[:4096]); p[1080], p[1081] = 0x53, 0xef })
	out, errs, code := run(bg, "-p", img)
	if p, _ := os.ReadFile(img); code != 8 || !strings.Contains(errs, "block 0 is not the label") || !bytes.Equal(p, before) {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := run(bg, "-p", "-f", img); code != 1 {
		t.Errorf("-f: exit %d: %s%s", code, out, errs)
	}
	at := zoneTable(t, img)
	ruin(t, img, func(p []byte) { p[at+100] ^= 1 })
	if out, errs, code := run(bg, "-p", img); code != 4 {
		t.Errorf("what -p does not do: exit %d: %s%s", code, out, errs)
	}
}

// TestSalvageAdvice: where a salvage is refused because of what is at the start, the
// way to have it is not the command just run; and a check says that there is one.
func TestSalvageAdvice(t *testing.T) {
	img := image(t)
	undo := filepath.Join(t.TempDir(), "undo")
	blank := func(p []byte) { clear(p[:8<<20]); clear(p[len(p)-8<<20:]) }
	ruin(t, img, blank)
	for _, args := range [][]string{{img}, {"-p", img}} {
		if _, errs, code := run(bg, args...); code != 8 || !strings.Contains(errs, "searches the whole device for what it wrote: fsck.ebofs -y --undo FILE ") {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
	before := ruin(t, img, func(p []byte) { copy(p, "LUKS\xba\xbe\x00\x02") })
	out, errs, code := run(bg, "-y", "--undo", undo, img)
	if p, _ := os.ReadFile(img); code != 8 || !bytes.Equal(p, before) || !strings.Contains(errs, "-y --force --undo FILE") || !strings.Contains(errs, "--fsid UUID") || strings.Contains(out+errs, "00000000") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code = run(bg, "-y", "--force", "--undo", undo, img); code != 1 || !strings.HasSuffix(out, "the data of objects was not verified; to do that: fsck.ebofs --level deep "+img+"\n") {
		t.Errorf("--force: exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := run(bg, "-y", "--undo", undo+"2", img); code != 0 || !strings.HasSuffix(out, "nothing to repair, no undo file written\n") {
		t.Errorf("nothing to do: exit %d: %s%s", code, out, errs)
	}
}

// TestWrongUndo: an undo file of another device or a torn one is refused.
func TestWrongUndo(t *testing.T) {
	a, b := image(t), image(t)
	undo := filepath.Join(t.TempDir(), "undo")
	ruin(t, a, func(p []byte) { clear(p[:4096]) })
	if out, errs, code := run(bg, "-y", "--undo", undo, a); code != 1 {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	was, _ := os.ReadFile(b)
	if _, errs, code := run(bg, "--apply-undo", undo, b); code != 8 || !strings.Contains(errs, "of store") {
		t.Errorf("another store: exit %d: %s", code, errs)
	}
	if p, _ := os.ReadFile(b); !bytes.Equal(p, was) {
		t.Error("something was written")
	}
	p, _ := os.ReadFile(undo)
	for _, cut := range []int{10, 4096, len(p) - 1} {
		if err := os.WriteFile(undo, p[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := run(bg, "--apply-undo", undo, a); code != 8 || strings.Count(errs, "\n") > 2 {
			t.Errorf("torn at %d: exit %d: %s", cut, code, errs)
		}
	}
	p[len(p)-1] ^= 1
	if err := os.WriteFile(undo, p, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, errs, code := run(bg, "--apply-undo", undo, a); code != 8 || !strings.Contains(errs, "torn") {
		t.Errorf("damaged: exit %d: %s", code, errs)
	}
}
