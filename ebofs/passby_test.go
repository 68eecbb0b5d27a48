package ebofs

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// onodes counts what the table of s holds.
func onodes(s *Store) (n int) {
	s.onodes.each(func(*onode) { n++ })
	return n
}

// passing writes objects of some sizes, one of them with a hole, and mounts the store
// anew: none of them has an onode then.
func passing(t *testing.T) (*Store, map[string][]byte) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, quiet())
	want := map[string][]byte{"block": nil, "part": nil, "two chunks": nil, "hole": nil}
	rng := rand.New(rand.NewPCG(8, 1))
	for name, n := range map[string]int{"block": blockSize, "part": 3*blockSize - 5, "two chunks": 400 << 10, "hole": 40 << 10} {
		p := make([]byte, n)
		for i := range p {
			p[i] = byte(rng.Uint32())
		}
		want[name] = p
		apply(t, s, func(x *Txn) {
			x.Write(mainColl, oid(name), 0, p)
			if name == "hole" {
				clear(p[8<<10 : 24<<10])
				x.Zero(mainColl, oid(name), 8<<10, 16<<10)
			}
		})
	}
	closeStore(t, s)
	s = open(t, mem, quiet())
	t.Cleanup(func() { closeStore(t, s) })
	return s, want
}

// TestPassing reads clean objects, whole and in part: the first time without an onode.
func TestPassing(t *testing.T) {
	s, want := passing(t)
	for name, w := range want {
		p := make([]byte, len(w)+10)
		for try, made := range []int{0, 1} {
			before := onodes(s)
			if n, err := s.Read(bg, mainColl, oid(name), 0, p); err != nil || !bytes.Equal(p[:n], w) {
				t.Errorf("%s: %d bytes, %v", name, n, err)
			}
			if got := onodes(s) - before; got != made {
				t.Errorf("%s: read %d made %d onodes", name, try, got)
			}
		}
	}
	// In pieces, each of which is the first read of its object.
	for range 300 {
		s.onodes = onodeTable{}
		s.onodes.init(s.opt.MaxOnodes)
		for name, w := range want {
			off := rand.IntN(len(w) + 100)
			p := make([]byte, 1+rand.IntN(3*blockSize))
			n, err := s.Read(bg, mainColl, oid(name), uint64(off), p)
			if have := w[min(off, len(w)):min(off+len(p), len(w))]; err != nil || !bytes.Equal(p[:n], have) {
				t.Fatalf("%s: %d bytes at %d: %d, %v", name, len(p), off, n, err)
			}
		}
		if n := onodes(s); n != 0 {
			t.Fatalf("%d onodes", n)
		}
	}
}

// TestPassingChanges changes objects that were read without an onode.
func TestPassingChanges(t *testing.T) {
	s, want := passing(t)
	for name, w := range want {
		p := make([]byte, len(w))
		check := func(what string, w []byte) {
			t.Helper()
			if n, err := s.Read(bg, mainColl, oid(name), 0, p); err != nil || !bytes.Equal(p[:n], w) {
				t.Errorf("%s %s: %d bytes, %v", name, what, n, err)
			}
		}
		check("at first", w)
		w[17]++
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid(name), 17, w[17:18]) })
		check("changed", w)
		mustCheckpoint(t, s)
		s.onodes.init(s.opt.MaxOnodes)
		check("saved", w)
		s.onodes.init(s.opt.MaxOnodes)
		apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(name)) })
		if _, err := s.Read(bg, mainColl, oid(name), 0, p); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s removed: %v", name, err)
		}
		mustCheckpoint(t, s)
		s.onodes.init(s.opt.MaxOnodes)
		if _, err := s.Read(bg, mainColl, oid(name), 0, p); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s removed and forgotten: %v", name, err)
		}
	}
}

// TestPassingDamage damages data and nodes below objects without an onode.
func TestPassingDamage(t *testing.T) {
	for _, kind := range []string{"data", "objects level 0"} {
		mem := newMem(64)
		s := newStore(t, mem, FormatOptions{}, quiet())
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid("hurt"), 0, bytes.Repeat([]byte("x"), 2*blockSize+9)) })
		closeStore(t, s)
		hurt := 0
		for _, p := range anatomy(t, mem) {
			if p.kind == kind {
				damage(t, mem, p.block, 1, func(p []byte) { p[100] ^= 4 })
				hurt++
			}
		}
		s = open(t, mem, quiet())
		p := make([]byte, 3*blockSize)
		for range 2 {
			before := s.Metrics().Corruptions
			if _, err := s.Read(bg, mainColl, oid("hurt"), 0, p); hurt == 0 || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "hurt") {
				t.Errorf("%s, %d places: %v", kind, hurt, err)
			}
			if n := s.Metrics().Corruptions - before; kind == "data" && n != 1 {
				t.Errorf("%d corruptions counted", n)
			}
		}
		closeStore(t, s)
	}
}
