package ebofs

import (
	"math/rand/v2"
	"testing"

	"ebofs/ebofs/layout"
)

// TestCloneRecords: a clone takes over the records of what its source has on the device,
// and only chunks that changed since, or are to be moved, are decided block by block. The
// source changes with its first clone only.
func TestCloneRecords(t *testing.T) {
	const size, chunks = 1 << 20, 4
	g := &generator{Rand: rand.New(rand.NewPCG(1, 8))}
	mem := newMem(192)
	s := newStore(t, mem, FormatOptions{}, quiet())
	m := model{}
	do := func(op modelOp) {
		t.Helper()
		if err := s.Apply(bg, txnOf(mainColl, []modelOp{op})); err != nil {
			t.Fatal(err)
		}
		m.apply([]modelOp{op})
		mustCompare(t, s, m)
	}
	check := func(name string, dirty bool, decided int) {
		t.Helper()
		o := onodeNamed(t, s, name)
		defer o.refs.Add(-1)
		o.mu.RLock()
		defer o.mu.RUnlock()
		if got := o.epoch != 0; got != dirty {
			t.Errorf("object %s: dirty is %v", name, got)
		}
		if n := o.cur.over.edits.len(); n != decided {
			t.Errorf("object %s: %d chunks are decided block by block, want %d", name, n, decided)
		}
		for k := range uint64(chunks) {
			if o.cur.over.edits.get(k) != nil {
				continue
			}
			val, ok, err := o.cur.extents.Get(bg, chunkKey(k), nil)
			if err != nil || !ok {
				t.Fatalf("object %s, chunk %d: %v %v", name, k, ok, err)
			}
			if flags, end, err := layout.CheckChunk(val); flags != layout.BlockShared || end != layout.ChunkBlocks || err != nil {
				t.Errorf("object %s, chunk %d: flags %x up to block %d, %v", name, k, flags, end, err)
			}
		}
	}
	do(modelOp{code: opWrite, name: "a", data: g.bytes(size)})
	mustCheckpoint(t, s)
	do(modelOp{code: opClone, name: "a", to: "b"})
	check("a", true, 0)
	check("b", true, 0)
	do(modelOp{code: opClone, name: "b", to: "c"}) // of what no checkpoint has seen
	check("c", true, 0)
	do(modelOp{code: opRemove, name: "b"})
	mustCheckpoint(t, s)
	fsck(t, mem.Snapshot())

	do(modelOp{code: opClone, name: "a", to: "d"})
	check("a", false, 0)
	check("d", true, 0)

	o := onodeNamed(t, s, "a")
	s.takePart(o, o.cur.id, func(b *body) { b.move(2, false) })
	o.refs.Add(-1)
	do(modelOp{code: opWrite, name: "a", off: 1 << chunkShift, data: g.bytes(chunkBytes)})
	do(modelOp{code: opClone, name: "a", to: "e"})
	check("e", true, 2)
	for _, name := range []string{"a", "c", "d", "e"} {
		mustCheckpoint(t, s)
		fsck(t, mem.Snapshot())
		mustCompare(t, s, m)
		do(modelOp{code: opRemove, name: name})
	}
	if n := dataBlocks(t, s, mem); n != 0 {
		t.Errorf("%d blocks of nothing", n)
	}
	closeStore(t, s)
}

// onodeNamed returns the onode of an object, for its caller to let go.
func onodeNamed(t *testing.T, s *Store, name string) *onode {
	t.Helper()
	id := oid(name)
	o, err := s.onodeOf(bg, id.AppendKey(nil), true)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestCleanNewClone: a clone that is newer than the count of who shares a block is one
// more to move it with.
func TestCleanNewClone(t *testing.T) {
	s, _ := hardStore(t, 64, 64<<10)
	snap := func(n uint64) ObjectID { id := oid("a"); id.Snap = n; return id }
	apply(t, s, func(x *Txn) { x.Write(mainColl, snap(9), 0, make([]byte, 256<<10)) })
	apply(t, s, func(x *Txn) { x.Clone(mainColl, snap(9), snap(1)) })
	mustCheckpoint(t, s)
	apply(t, s, func(x *Txn) { x.Clone(mainColl, snap(9), snap(2)) })
	c := &cleaning{ck: &checkpoint{s: s, ctx: bg}, ctx: bg, onodes: make(map[uint64]*onode)}
	defer c.release()
	head := snap(9)
	o, _, err := c.named(head.AppendKey(nil))
	if err != nil {
		t.Fatal(err)
	}
	chunk, err := c.chunk(o, 0)
	if err != nil || chunk == nil {
		t.Fatal(chunk, err)
	}
	n, err := c.count(chunk.Addr[0])
	if n != 2 || err != nil {
		t.Fatalf("block is counted %d times, %v", n, err)
	}
	if ok, err := c.family(o, chunk.Addr[0], 0, n); !ok || err != nil || len(c.plan.chunks) != 3 {
		t.Errorf("family is %v with %d objects, %v", ok, len(c.plan.chunks), err)
	}
	closeStore(t, s)
}
