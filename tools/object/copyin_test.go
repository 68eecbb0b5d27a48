package object

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ebofs/ebofs"
	"ebofs/tools/verb"
)

// noise is n bytes that differ with seed.
func noise(n int, seed uint64) []byte {
	r := rand.New(rand.NewPCG(seed, 3))
	p := make([]byte, n)
	for i := range p {
		p[i] = byte(r.Uint32())
	}
	return p
}

func file(t *testing.T, dir, name string, p []byte) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, p, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReplaceFull: on a store with no room for both, the old object stays whole,
// and the refusal says why and what to do.
func TestReplaceFull(t *testing.T) {
	img, root := image(t, 40), t.TempDir()
	small, large := noise(2*pieceBytes+5, 1), noise(7*pieceBytes, 2)
	path := file(t, root, "a", small)
	acked := filepath.Join(t.TempDir(), "acked")
	must(t, img, "import", "--acked", acked, root)
	file(t, root, "a", large)
	for _, args := range [][]string{{"put", "a", path}, {"import", "--acked", acked, root}} {
		_, errs, code := run(bg, append([]string{img}, args...)...)
		if code != 1 || !strings.Contains(errs, "the store is full: no room for new bytes of a beside its old 8.0 MiB") {
			t.Errorf("%s: exit %d: %s", args[0], code, errs)
		}
		if got := must(t, img, "get", "a"); got != string(small) {
			t.Fatalf("%s: %d bytes, the old object has %d", args[0], len(got), len(small))
		}
		if got := must(t, img, "export", "--verify", acked); args[0] == "put" && !strings.Contains(got, "2 objects are as") || !strings.Contains(got, "objects are as acknowledged") {
			t.Errorf("%s: %s", args[0], got)
		}
	}
	if p, err := os.ReadFile(acked); err != nil || !strings.HasSuffix(string(p), fmt.Sprintf("%x %d a\n", hashOf(small), len(small))) {
		t.Errorf("%v, the journal ends without what is stored:\n%s", err, p)
	}
	if _, errs, _ := run(bg, img, "put", "a", path); !strings.Contains(errs, "ebofs object "+img+" rm a\n") {
		t.Errorf("no hint: %s", errs)
	}
	clean(t, img)
}

// TestReplaceLarger: several transactions end with the new bytes and attributes
// and no trace of the old ones.
func TestReplaceLarger(t *testing.T) {
	img, root := image(t, 96), t.TempDir()
	must(t, img, "attr", "a", "stale", "--set", "x")
	p := noise(2*pieceBytes, 4)
	must(t, img, "put", "a", file(t, root, "a", p))
	if got := must(t, img, "get", "a"); got != string(p) {
		t.Errorf("%d bytes, want %d", len(got), len(p))
	}
	if got := must(t, img, "attr", "a"); got != "" {
		t.Errorf("attributes %q", got)
	}
	must(t, img, "import", root)
	mounted(t, img, func(s *ebofs.Store) {
		if ids, _, err := s.List(bg, DefaultCollection, nil, nil, 10); err != nil || len(ids) != 2 {
			t.Errorf("%v, %v", ids, err)
		}
	})
	clean(t, img)
}

// interrupting cancels once half of what it holds was read.
type interrupting struct {
	*bytes.Reader
	cancel context.CancelFunc
}

func (r *interrupting) Read(p []byte) (int, error) {
	if int64(r.Len()) < r.Size()/2 {
		r.cancel()
	}
	return r.Reader.Read(p[:min(len(p), 64<<10)])
}

// TestPutInterrupted: the old object stays, a new one does not appear.
func TestPutInterrupted(t *testing.T) {
	img := image(t, 96)
	must(t, img, "put", "a", file(t, t.TempDir(), "a", []byte("old")))
	for _, name := range []string{"a", "b"} {
		ctx, cancel := context.WithCancel(bg)
		var out, errs bytes.Buffer
		code := Main(ctx, []string{img, "put", name, "-"}, verb.Streams{In: &interrupting{bytes.NewReader(noise(4*pieceBytes, 5)), cancel}, Out: &out, Err: &errs, Program: "ebofs"})
		cancel()
		if code != 130 || !strings.Contains(errs.String(), "interrupted: "+name+" is as it was") {
			t.Errorf("exit %d: %s", code, errs.String())
		}
	}
	if got := must(t, img, "get", "a"); got != "old" {
		t.Errorf("a holds %d bytes", len(got))
	}
	if got := must(t, img, "ls"); got != "a\n" {
		t.Errorf("ls: %q", got)
	}
	mounted(t, img, func(s *ebofs.Store) {
		if ids, _, err := s.List(bg, DefaultCollection, nil, nil, 10); err != nil || len(ids) != 1 {
			t.Errorf("left behind: %v, %v", ids, err)
		}
	})
	clean(t, img)
}

// TestLeftovers: what a kill leaves half written is shown by nothing and removed
// by the next session that writes; nor does it get into the next object.
func TestLeftovers(t *testing.T) {
	img, root := image(t, 96), t.TempDir()
	must(t, img, "put", "a", file(t, root, "a", []byte("old")))
	id := ebofs.NewObjectID(1, "a")
	leave := func() {
		mounted(t, img, func(s *ebofs.Store) {
			x := ebofs.NewTxn()
			x.Write(DefaultCollection, tempOf(id), 0, noise(3<<20, 6))
			if err := s.Apply(bg, x); err != nil {
				t.Fatal(err)
			}
		})
	}
	count := func() (n int) {
		mounted(t, img, func(s *ebofs.Store) {
			ids, _, err := s.List(bg, DefaultCollection, nil, nil, 10)
			if err != nil {
				t.Fatal(err)
			}
			n = len(ids)
		})
		return n
	}
	leave()
	temp := tempOf(id)
	if got := must(t, img, "ls", "--full"); strings.Contains(got, tempNamespace) || strings.Count(got, "\n") != 1 {
		t.Errorf("ls: %q", got)
	}
	if _, errs, code := run(bg, img, "get", "--", temp.String()); code != 1 || !strings.Contains(errs, "no object") {
		t.Errorf("get: exit %d: %s", code, errs)
	}
	out := t.TempDir()
	must(t, img, "export", out)
	if entries, err := os.ReadDir(out); err != nil || len(entries) != 1 {
		t.Errorf("exported: %v, %v", entries, err)
	}
	if count() != 2 {
		t.Fatal("reading removed something, or the test left nothing")
	}
	must(t, img, "attr", "a", "k", "--set", "v")
	if n := count(); n != 1 {
		t.Errorf("%d objects after a session that writes", n)
	}
	leave()
	if _, errs, code := runIn(strings.NewReader("new"), img, "put", "b", "-"); code != 0 {
		t.Fatal(errs)
	}
	if n := count(); n != 2 {
		t.Errorf("%d objects after put", n)
	}
	clean(t, img)
}

// TestTempHash: a temporary key belongs to the collection of its object, also
// when that holds only part of the hashes.
func TestTempHash(t *testing.T) {
	for _, pool := range []int64{-1, 0, 1, 77} {
		id := ebofs.NewObjectID(pool, "some name")
		for bits := range uint8(33) {
			spec := ebofs.CollSpec{Shard: id.Shard, Pool: pool, Bits: bits, Seed: uint32(uint64(id.Hash) & (1<<bits - 1))}
			if temp := tempOf(id); !spec.Contains(&temp) || !isTemp(&temp) || isTemp(&id) || temp == id {
				t.Errorf("pool %d, %d bits: %v", pool, bits, temp)
			}
		}
	}
}
