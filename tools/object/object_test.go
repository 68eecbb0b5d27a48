package object

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
	"ebofs/tools/probe"
	"ebofs/tools/verb"
)

func hashOf(p []byte) [32]byte { return sha256.Sum256(p) }

// with runs fn on the mounted store of img.
func mounted(t *testing.T, img string, fn func(*ebofs.Store)) {
	t.Helper()
	dev, err := devices.OpenFile(img, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	fn(s)
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
}

// TestNotOutside: names of objects never lead an export out of its directory.
func TestNotOutside(t *testing.T) {
	img := image(t, 64)
	if _, errs, code := runIn(strings.NewReader("x"), img, "put", "good", "-"); code != 0 {
		t.Fatal(errs)
	}
	bad := []string{"../evil", "/etc/evil", "a/../../evil", "a//b", "./dot", "."}
	for _, name := range bad {
		if _, errs, code := runIn(strings.NewReader("x"), img, "put", name, "-"); code != 1 || !strings.Contains(errs, "is no path below a directory") {
			t.Errorf("put %q: exit %d: %s", name, code, errs)
		}
	}
	if got := must(t, img, "ls"); got != "good\n" {
		t.Errorf("ls: %q", got)
	}
	// A link that leads out, and a file behind it.
	outside := t.TempDir()
	link := fileMeta{mode: 0o120777, mtime: time.Unix(1, 0), target: outside}
	mounted(t, img, func(s *ebofs.Store) {
		x := ebofs.NewTxn()
		x.Touch("files", ebofs.NewObjectID(1, "out"))
		x.SetAttrs("files", ebofs.NewObjectID(1, "out"), link.encode())
		x.Write("files", ebofs.NewObjectID(1, "out/file"), 0, []byte("x"))
		for _, name := range bad { // other programs may name objects so
			x.Write("files", ebofs.NewObjectID(1, name), 0, []byte("x"))
		}
		if err := s.Apply(bg, x); err != nil {
			t.Fatal(err)
		}
	})
	dir := t.TempDir()
	_, errs, code := run(bg, img, "export", filepath.Join(dir, "sub"))
	if code != 1 || strings.Count(errs, "the name is no path below a directory") != 5 || !strings.Contains(errs, "the name stands for the directory itself") {
		t.Errorf("exit %d: %s", code, errs)
	}
	for _, d := range []string{dir, outside} {
		entries, err := os.ReadDir(d)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Name() != "sub" {
				t.Errorf("%s was written outside", filepath.Join(d, e.Name()))
			}
		}
	}
	if p, err := os.ReadFile(filepath.Join(dir, "sub", "good")); err != nil || string(p) != "x" {
		t.Errorf("good: %q, %v", p, err)
	}
}

func runIn(in *strings.Reader, args ...string) (out, errs string, code int) {
	var o, e bytes.Buffer
	code = Main(bg, args, verb.Streams{In: in, Out: &o, Err: &e, Program: "ebofs"})
	return o.String(), e.String(), code
}

// TestInUse: a store somebody has mounted is not written, but can be looked at.
func TestInUse(t *testing.T) {
	img := image(t, 64)
	must(t, img, "attr", "x", "k", "--set", "v")
	mounted(t, img, func(*ebofs.Store) {
		_, errs, code := run(bg, img, "rm", "x")
		if code != 1 || !strings.Contains(errs, img+": in use: locked by ") || !strings.Contains(errs, "Nothing was written.") || strings.Contains(errs, "--force") {
			t.Errorf("exit %d: %s", code, errs)
		}
		if got := must(t, img, "ls"); got != "x\n" {
			t.Errorf("ls: %q", got)
		}
	})
}

// TestReadingWritesNothing: on an unclean store, every reading action leaves
// the image as it is.
func TestReadingWritesNothing(t *testing.T) {
	img := image(t, 64)
	dev, err := devices.OpenFile(img, devices.FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := ebofs.Open(bg, dev, ebofs.Options{MemoryBytes: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	x := ebofs.NewTxn()
	x.MkColl("files", ebofs.CollSpec{Shard: -1, Pool: 1})
	id := ebofs.NewObjectID(1, "o")
	x.Write("files", id, 0, []byte("in the log only"))
	x.SetAttr("files", id, "k", []byte("v"))
	x.OmapSet("files", id, map[string][]byte{"a": []byte("b")})
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(img) // as a crash would leave it
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	dev.Close()
	if err := os.WriteFile(img, before, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ args, want string }{
		{"ls", "o\n"}, {"get o", "in the log only"}, {"attr o k", "v"}, {"omap o a", "b"}, {"ls --collections", "files\n"},
	} {
		if got := must(t, append([]string{img}, strings.Fields(c.args)...)...); got != c.want {
			t.Errorf("%s: %q, want %q", c.args, got, c.want)
		}
	}
	must(t, img, "stat", "o")
	must(t, img, "export", filepath.Join(t.TempDir(), "x"))
	after, err := os.ReadFile(img)
	if err != nil || !bytes.Equal(before, after) {
		t.Fatalf("the image changed (%v)", err)
	}
}

// TestDamage: an object whose bytes are damaged is named, never returned wrong,
// and costs no other.
func TestDamage(t *testing.T) {
	img, root := image(t, 64), t.TempDir()
	needle := bytes.Repeat([]byte("needle in the haystack "), 8000)
	for name, p := range map[string][]byte{"bad": needle, "good": []byte("fine")} {
		if err := os.WriteFile(filepath.Join(root, name), p, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	acked := filepath.Join(t.TempDir(), "acked")
	must(t, img, "import", "--acked", acked, root)
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	// Every copy: the log may still hold the bytes, too.
	hits := 0
	for at := 0; ; hits++ {
		i := bytes.Index(p[at:], []byte("needle in the haystack needle in the haystack"))
		if i < 0 {
			break
		}
		p[at+i] ^= 0x20
		at += i + 4096
	}
	if hits == 0 {
		t.Fatal("the bytes are nowhere on the device")
	}
	if err := os.WriteFile(img, p, 0o600); err != nil {
		t.Fatal(err)
	}
	out, errs, code := run(bg, img, "get", "bad")
	if code != 1 || !strings.Contains(errs, ":bad:head") || !strings.Contains(errs, "fsck --level deep") || len(out) > 0 && !bytes.HasPrefix(needle, []byte(out)) {
		t.Errorf("exit %d, %d bytes, %s", code, len(out), errs)
	}
	if got := must(t, img, "get", "good"); got != "fine" {
		t.Errorf("good: %q", got)
	}
	to := t.TempDir()
	file := filepath.Join(to, "f")
	must(t, img, "get", "good", file)
	_, _, code = run(bg, img, "get", "bad", file)
	if p, err := os.ReadFile(file); code != 1 || err != nil || string(p) != "fine" {
		t.Errorf("get over a file: exit %d, %v, now holds %q", code, err, p)
	}
	if left, err := os.ReadDir(to); err != nil || len(left) != 1 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	_, errs, code = run(bg, img, "export", "--verify", acked)
	if code != 1 || !strings.Contains(errs, "1 of 3 objects differ") {
		t.Errorf("verify: exit %d: %s", code, errs)
	}
	dir := t.TempDir() // holds a good copy of what is bad, and an old one of what is good
	for name, p := range map[string][]byte{"bad": needle, "good": []byte("an older one")} {
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o444); err != nil {
			t.Fatal(err)
		}
	}
	if _, errs, code = run(bg, img, "export", dir); code != 1 || !strings.Contains(errs, "bad: not exported") {
		t.Errorf("export: exit %d: %s", code, errs)
	}
	for name, want := range map[string]string{"bad": string(needle), "good": "fine"} {
		if p, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(p) != want {
			t.Errorf("export over a file: %s: %v, %d bytes, want %d", name, err, len(p), len(want))
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// spoil damages every block of the image that holds needle, in the log, too.
func spoil(t *testing.T, img string, needle []byte) {
	t.Helper()
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	hits := 0
	for at := 0; ; hits++ {
		i := bytes.Index(p[at:], needle)
		if i < 0 {
			break
		}
		p[at+i] ^= 0x20
		at += i + len(needle)
	}
	if hits == 0 {
		t.Fatalf("%q is nowhere on the device", needle)
	}
	if err := os.WriteFile(img, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestImportDamaged: a damaged leaf costs an import the names that belong there.
func TestImportDamaged(t *testing.T) {
	img, root := image(t, 64), t.TempDir()
	const n = 600
	for i := range n {
		file(t, root, fmt.Sprint("f", i), fmt.Appendf(nil, "file %d of many", i))
	}
	must(t, img, "import", root)
	spoil(t, img, []byte("file 77 of many"))
	for i := range n {
		file(t, root, fmt.Sprint("f", i), fmt.Appendf(nil, "new file %d of many", i))
	}
	for _, args := range [][]string{{"import"}, {"import", "--resume"}} {
		out, errs, code := run(bg, append(append([]string{img}, args...), root, "--format", "json")...)
		var v importResult
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatal(err)
		}
		if code != 1 || v.Failed < 1 || v.Failed > n/2 || v.Files+v.Skipped+v.Failed+v.Directories != n+1 || !v.Complete ||
			!strings.Contains(errs, filepath.Join(root, "f77")+": not imported: ") || !strings.Contains(errs, "fsck --level deep") {
			t.Fatalf("%v: exit %d: %+v\n%s", args, code, v, errs)
		}
	}
	good := 0
	mounted(t, img, func(s *ebofs.Store) {
		for i := range n {
			p := make([]byte, 100)
			k, err := s.Read(bg, DefaultCollection, ebofs.NewObjectID(1, fmt.Sprint("f", i)), 0, p)
			if err != nil {
				continue
			}
			if good++; string(p[:k]) != fmt.Sprintf("new file %d of many", i) {
				t.Errorf("f%d: %q", i, p[:k])
			}
		}
	})
	if good < n/2 || good == n {
		t.Errorf("%d of %d can be read", good, n)
	}
}

// TestLostChanges: a change that was acknowledged and that damage kept from the
// tree it belongs to is said to be lost, and where.
func TestLostChanges(t *testing.T) {
	img := image(t, 64)
	mounted(t, img, func(s *ebofs.Store) {
		x := ebofs.NewTxn()
		x.MkColl("files", ebofs.CollSpec{Shard: -1, Pool: 1})
		kv := map[string][]byte{}
		for i := range 150 {
			kv[fmt.Sprintf("key%04d", i)] = fmt.Appendf(nil, "%0400d value %d end", 0, i)
		}
		x.OmapSet("files", ebofs.NewObjectID(1, "o"), kv)
		if err := s.Apply(bg, x); err != nil {
			t.Fatal(err)
		}
	})
	spoil(t, img, []byte(" value 50 end"))
	_, errs, code := run(bg, img, "omap", "o", "key0050", "--set", "NEW")
	if code != 1 || !strings.Contains(errs, "changes to damaged metadata are lost: tree omap") || !strings.Contains(errs, "fsck --level deep") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code := run(bg, img, "omap", "o", "key0050"); code != 1 {
		t.Errorf("the key is read: exit %d: %s", code, errs)
	}
	must(t, img, "omap", "o", "key0149", "--set", "fine") // told once
	if got := must(t, img, "omap", "o", "key0149"); got != "fine" {
		t.Errorf("key0149: %q", got)
	}
	out, _, code := run(bg, img, "omap", "o", "key0149", "--set", "fine", "--format", "json")
	if code != 0 || !strings.Contains(out, `"ok":true`) {
		t.Errorf("exit %d: %s", code, out)
	}
}

// TestRemoveAll: rm removes all it is given or, naming what is not there, none.
func TestRemoveAll(t *testing.T) {
	img := image(t, 64)
	for _, name := range []string{"a", "b", "c"} {
		must(t, img, "attr", name, "k", "--set", "v")
	}
	_, errs, code := run(bg, img, "rm", "a", "nope", "c", "neither")
	if code != 1 || !strings.Contains(errs, `no object "nope", "neither" in collection "files"`) || !strings.Contains(errs, "Nothing was removed") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if got := must(t, img, "ls"); strings.Count(got, "\n") != 3 {
		t.Errorf("left: %q", got)
	}
	must(t, img, "rm", "a", "c", "a")
	if got := must(t, img, "ls"); got != "b\n" {
		t.Errorf("left: %q", got)
	}
}

// TestRemoveOnFull: a store that is full to the last block has no room for the
// checkpoint of many removes in one transaction; rm removes them all the same.
func TestRemoveOnFull(t *testing.T) {
	img := image(t, 32)
	must(t, img, "attr", "o", "k", "--set", "v")
	var names []string
	mounted(t, img, func(s *ebofs.Store) {
		for n := 64; n > 0; {
			x := ebofs.NewTxn()
			for i := range n {
				x.Write("files", ebofs.NewObjectID(1, fmt.Sprintf("f%05d", len(names)+i)), 0, bytes.Repeat([]byte{1, 2, 3, 4}, 1024))
			}
			err := s.Apply(bg, x)
			if errors.Is(err, ebofs.ErrNoSpace) {
				n /= 2
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			for range n {
				names = append(names, fmt.Sprintf("f%05d", len(names)))
			}
		}
	})
	if len(names) < 300 {
		t.Fatalf("%d objects fill it", len(names))
	}
	if _, errs, code := run(bg, append([]string{img, "rm"}, names...)...); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	if got := must(t, img, "ls"); got != "o\n" {
		t.Errorf("left: %q", got)
	}
	clean(t, img)
}

// spoilNodes damages every node of a kind of tree.
func spoilNodes(t *testing.T, img string, kind layout.TreeKind) {
	t.Helper()
	p, err := os.ReadFile(img)
	if err != nil {
		t.Fatal(err)
	}
	hits := 0
	for at := 0; at < len(p); at += devices.BlockSize {
		if bytes.HasPrefix(p[at:], []byte("EBTN")) && layout.TreeKind(p[at+40]) == kind {
			p[at+100] ^= 1
			hits++
		}
	}
	if hits == 0 {
		t.Fatalf("no node of tree %v", kind)
	}
	if err := os.WriteFile(img, p, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestStatDamaged: stat shows what is known of an object and names what is not;
// ls says what it cannot list.
func TestStatDamaged(t *testing.T) {
	img, root := image(t, 96), t.TempDir()
	must(t, img, "put", "big", file(t, root, "big", noise(6<<20, 8)))
	must(t, img, "attr", "big", "colour", "--set", "blue")
	spoilNodes(t, img, layout.TreeExtents)
	out, errs, code := run(bg, img, "stat", "big")
	if code != 1 || !strings.Contains(out, "size     6291456") || !strings.Contains(out, "mapped   damaged") || !strings.Contains(out, "attr     colour") || !strings.Contains(errs, "object big: extents: ") {
		t.Errorf("exit %d: %s%s", code, out, errs)
	}
	out, _, code = run(bg, img, "stat", "big", "--format", "json")
	if code != 1 || !strings.Contains(out, `"bytes":6291456`) || !strings.Contains(out, `"damage":"object big: extents: `) || !strings.Contains(out, `"code":"E-CORRUPT"`) {
		t.Errorf("exit %d: %s", code, out)
	}
	spoilNodes(t, img, layout.TreeObjects)
	if _, errs, code = run(bg, img, "ls"); code != 1 || !strings.Contains(errs, "all objects cannot be listed") {
		t.Errorf("exit %d: %s", code, errs)
	}
	if _, errs, code = run(bg, img, "stat", "big"); code != 1 || !strings.Contains(errs, "big") {
		t.Errorf("exit %d: %s", code, errs)
	}
}

func TestVerifyFinds(t *testing.T) {
	img := image(t, 64)
	if _, errs, code := runIn(strings.NewReader("hello"), img, "put", "a", "-"); code != 0 {
		t.Fatal(errs)
	}
	sum := func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	for _, c := range []struct{ journal, want string }{
		{sum("hello") + " 5 a\n", ""},
		{sum("other") + " 5 a\n" + sum("hello") + " 5 a\n", ""}, // the last line counts
		{sum("hallo") + " 5 a\n", "a: sha256 " + sum("hello") + ", acknowledged " + sum("hallo")},
		{sum("hello!") + " 6 a\n", "a: 5 bytes, acknowledged 6"},
		{sum("hello") + " 5 b\n", "b: acknowledged, but not there"},
		{"nonsense\n", "line 1: not a journal"},
		{sum("hello") + " 5 a\n" + sum("hello") + " -5 a\n", "line 2: not a journal"},
	} {
		j := filepath.Join(t.TempDir(), "acked")
		if err := os.WriteFile(j, []byte(c.journal), 0o600); err != nil {
			t.Fatal(err)
		}
		_, errs, code := run(bg, img, "export", "--verify", j)
		if (c.want == "") != (code == 0) || !strings.Contains(errs, c.want) {
			t.Errorf("journal %q: exit %d: %s", c.journal, code, errs)
		}
	}
}

// TestJournalStore: a journal is that of one store.
func TestJournalStore(t *testing.T) {
	root := t.TempDir()
	file(t, root, "a", []byte("x"))
	j := filepath.Join(t.TempDir(), "acked")
	one, two := image(t, 64), image(t, 64)
	must(t, one, "import", "--acked", j, root)
	before, err := os.ReadFile(j)
	if err != nil || !bytes.HasPrefix(before, []byte(journalHead)) {
		t.Fatalf("%q, %v", before, err)
	}
	must(t, two, "import", root)
	for _, args := range [][]string{{"import", "--acked", j, root}, {"import", "--resume", "--acked", j, root}, {"export", "--verify", j}} {
		if _, errs, code := run(bg, append([]string{two}, args...)...); code != 1 || !strings.Contains(errs, j+": the journal of store ") {
			t.Errorf("%v: exit %d: %s", args, code, errs)
		}
	}
	if after, err := os.ReadFile(j); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the journal changed: %q, %v", after, err)
	}
	// One of an older release has no such line.
	if err := os.WriteFile(j, before[bytes.IndexByte(before, '\n')+1:], 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, two, "export", "--verify", j)
}

// TestJournalForeign: what is no journal is not touched, be it named as one.
func TestJournalForeign(t *testing.T) {
	img, other, root, dir := image(t, 64), image(t, 64), t.TempDir(), t.TempDir()
	file(t, root, "a", []byte("x"))
	sum := strings.Repeat("ab", 32)
	for name, c := range map[string]struct{ content, want string }{
		"notes":   {"a line of notes\nand one that has no end", "line 1: not a journal"},
		"no line": {"notes", "line 1: not a journal"},
		"hex":     {sum, "line 1: not a journal"},
		"long":    {strings.Repeat("x", 1<<20), "line 1: not a journal"},
		"sums":    {sum + "  name\n" + sum + "  na", "line 1: not a journal"},
		"mixed":   {journalHead + "%s\n" + sum + " 1 a\nnotes\n" + sum, "line 3: not a journal"},
		"theirs":  {journalHead + "5\n" + sum + " 1 a\n" + sum, "the journal of store 5"},
	} {
		content := strings.ReplaceAll(c.content, "%s", storeID(t, img))
		path := file(t, dir, name, []byte(content))
		if _, errs, code := run(bg, img, "import", "--acked", path, root); code != 1 || !strings.Contains(errs, path+": "+c.want) {
			t.Errorf("%s: exit %d: %s", name, code, errs)
		}
		if p, err := os.ReadFile(path); err != nil || string(p) != content {
			t.Errorf("%s: %.60q, %v", name, p, err)
		}
	}
	for _, path := range []string{img, other} {
		before := hashFile(t, path)
		if _, errs, code := run(bg, img, "import", "--acked", path, root); code != 1 || !strings.Contains(errs, path+": not written over: it ") {
			t.Errorf("exit %d: %s", code, errs)
		}
		if path == other && hashFile(t, path) != before {
			t.Errorf("%s has changed", path)
		}
		clean(t, path)
	}
	if out, _, _ := run(bg, img, "ls", "--collections"); out != "" {
		t.Errorf("collections: %s", out)
	}
	// What a power cut can leave goes on.
	for name, content := range map[string]string{"empty": "", "cut head": journalHead + storeID(t, img)[:4], "cut line": journalHead + storeID(t, img) + "\n" + sum + " 1 gone\n" + sum[:9], "headless": sum + " 1 gone\n" + sum} {
		path := file(t, dir, name, []byte(content))
		must(t, img, "import", "--acked", path, root)
		whole := content[:strings.LastIndexByte(content, '\n')+1]
		if whole == "" {
			whole = journalHead + storeID(t, img) + "\n"
		}
		if p, err := os.ReadFile(path); err != nil || !strings.HasPrefix(string(p), whole) || !strings.Contains(string(p), " 1 a\n") || strings.Contains(string(p), sum[:9]+"\n") {
			t.Errorf("%s: %q, %v", name, p, err)
		}
	}
}

// TestExportStore: an object of the name of a store in DIR is not written over it.
func TestExportStore(t *testing.T) {
	img, other := image(t, 64), image(t, 64)
	dir := filepath.Dir(img)
	if err := os.Rename(other, filepath.Join(dir, "other.img")); err != nil {
		t.Fatal(err)
	}
	small := file(t, t.TempDir(), "small", []byte("small"))
	for _, name := range []string{"disk.img", "other.img", "third"} {
		must(t, img, "put", name, small)
	}
	for range 2 { // also over what the first one left
		_, errs, code := run(bg, img, "export", dir)
		if code != 1 || !strings.Contains(errs, "disk.img: not written over: it is what this command works on") || !strings.Contains(errs, "other.img: not written over: it holds store ") {
			t.Errorf("exit %d: %s", code, errs)
		}
		if p, err := os.ReadFile(filepath.Join(dir, "third")); err != nil || string(p) != "small" {
			t.Error(string(p), err)
		}
	}
	clean(t, img)
	clean(t, filepath.Join(dir, "other.img"))
}

// storeID is the id of the store in an image.
func storeID(t *testing.T, img string) string {
	t.Helper()
	d, err := probe.Look(img)
	if err != nil {
		t.Fatal(err)
	}
	return d.Store.ID
}

func hashFile(t *testing.T, path string) [32]byte {
	t.Helper()
	p, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return hashOf(p)
}

// TestJournalReplace: while an object is replaced its line does not count, and
// --resume writes it again.
func TestJournalReplace(t *testing.T) {
	img, root := image(t, 64), t.TempDir()
	j := filepath.Join(t.TempDir(), "acked")
	path := file(t, root, "a", []byte("old bytes"))
	must(t, img, "import", "--acked", j, root)
	old, err := os.ReadFile(j)
	if err != nil {
		t.Fatal(err)
	}
	file(t, root, "a", []byte("new bytes"))
	at := time.Unix(1_700_000_000, 0)
	if err := os.Chtimes(path, at, at); err != nil {
		t.Fatal(err)
	}
	must(t, img, "import", "--acked", j, root)
	now, err := os.ReadFile(j)
	if err != nil || !bytes.HasPrefix(now, old) {
		t.Fatalf("%q, %v", now, err)
	}
	taken, acked := notKnown+" 0 a\n", fmt.Sprintf("%x 9 a\n", hashOf([]byte("new bytes")))
	if i, k := strings.Index(string(now), taken), strings.LastIndex(string(now), acked); i < len(old) || k < i {
		t.Fatalf("journal:\n%s", now)
	}
	must(t, img, "export", "--verify", j)
	// As a kill leaves it behind the commit: the new object, and no line of it.
	if err := os.WriteFile(j, append(old, taken...), 0o600); err != nil {
		t.Fatal(err)
	}
	must(t, img, "export", "--verify", j)
	must(t, img, "import", "--resume", "--acked", j, root)
	if now, err = os.ReadFile(j); err != nil || !strings.HasSuffix(string(now), acked) {
		t.Errorf("%v, journal:\n%s", err, now)
	}
	must(t, img, "export", "--verify", j)
}

func TestJournalNames(t *testing.T) {
	path := filepath.Join(t.TempDir(), "j")
	j, _, err := openJournal(path, "5")
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"plain", "two words", "new\nline", `back\slash`, `\n`, "cr\r", " lead", "trail "}
	for i, n := range names {
		if err := j.add(strings.Repeat("ab", 32), int64(i), n); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	i := 0
	if err := ReadJournal(f, func(a Acked) error {
		if a.Name != names[i] || a.Size != int64(i) {
			t.Errorf("line %d: %+v, want %q", i, a, names[i])
		}
		i++
		return nil
	}); err != nil || i != len(names) {
		t.Fatal(i, err)
	}
}

func TestJSONShapes(t *testing.T) {
	img := image(t, 64)
	must(t, img, "attr", "x", "k", "--set", "v")
	for _, args := range []string{"ls", "ls --collections", "stat x", "attr x", "attr x k", "omap x", "omap x --header", "stat nope", "attr x nope"} {
		out, _, code := run(bg, append([]string{img, "--format", "json"}, strings.Fields(args)...)...)
		var v struct {
			Schema string
			OK     bool
			Exit   int
			Error  *struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(out), &v); err != nil {
			t.Fatalf("%s: %v: %s", args, err, out)
		}
		bad := strings.Contains(args, "nope")
		if v.Schema != "ebofs.object."+strings.Fields(args)[0]+"/1" || v.OK == bad || v.Exit != code || (v.Error != nil) != bad || bad && v.Error.Code != "E-NOT-FOUND" {
			t.Errorf("%s: %s", args, out)
		}
	}
}
