package ebofs

import (
	"bytes"
	"slices"
	"testing"
)

// TestReadLog: a tool that reads the log finds what happened since the checkpoint,
// and says when a part of it cannot be read.
func TestReadLog(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, Options{Inline: true})
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("old"), 0, []byte("old")) })
	mustCheckpoint(t, s)
	epoch := s.epoch
	head := s.super.Rings[0].Start.Block() + s.wal.Cut().Block
	apply(t, s, func(x *Txn) {
		x.Write(mainColl, oid("a"), 0, bytes.Repeat([]byte("a"), 128<<10))
		x.Clone(mainColl, oid("old"), oid("copy"))
	})
	for range 4 {
		apply(t, s, func(x *Txn) { x.Rename(mainColl, oid("a"), oid("b")) })
		apply(t, s, func(x *Txn) { x.Rename(mainColl, oid("b"), oid("a")) })
	}
	image := mem.Snapshot()
	closeStore(t, s)
	f, err := Find(bg, image)
	if err != nil {
		t.Fatal(err)
	}
	before := image.Hash()
	c, err := ReadLog(bg, image, &f.Super)
	if err != nil || c.Damage != nil {
		t.Fatal(err, c.Damage)
	}
	key := func(name string) string { return string(appendKey(name)) }
	var blocks uint64
	for _, e := range c.Blocks {
		blocks += e.Blocks
	}
	slices.Sort(c.Keys)
	want := []string{key("a"), key("b"), key("copy")}
	slices.Sort(want)
	if c.Records != 9 || c.Last != c.First+8 || c.LastOf[epoch] != c.Last || blocks != 32 || !slices.Equal(c.Keys, want) || !slices.Equal(c.Sources, []string{key("old")}) {
		t.Errorf("%+v", c)
	}
	if image.Hash() != before {
		t.Error("reading the log wrote something")
	}
	damage(t, image, head, 1, func(p []byte) { p[200] ^= 1 })
	if c, err := ReadLog(bg, image, &f.Super); err != nil || c.Damage == nil || c.Records != 0 {
		t.Errorf("damaged log: %+v, %v", c, err)
	}
}
