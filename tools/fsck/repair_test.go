package fsck

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

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

// zoneTable returns where the image's zone table is, in bytes.
func zoneTable(t *testing.T, img string) int {
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
	return int(r.Record.ZoneTables[0].Addr.Block()) * layout.BlockSize
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
