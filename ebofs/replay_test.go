package ebofs

import (
	"fmt"
	"testing"
	"time"

	"ebofs/ebofs/layout"
)

// TestReplayBudget makes changes that cost little but their replay: a checkpoint is
// taken before a mount would need longer than promised.
func TestReplayBudget(t *testing.T) {
	dev := newMem(512)
	s := newStore(t, dev, FormatOptions{LogBytes: 128 << 20}, Options{Inline: true, MemoryBytes: 1 << 30})
	apply(t, s, func(x *Txn) { x.Write(mainColl, oid("source"), 0, []byte("data")) })
	mustCheckpoint(t, s)
	before := s.Metrics().Checkpoints
	const most = int(replayFull / 2 / replayRead)
	made := 0
	for ; made <= most+1 && s.Metrics().Checkpoints == before; made++ {
		apply(t, s, func(x *Txn) { x.Clone(mainColl, oid("source"), oid(fmt.Sprint("clone", made))) })
	}
	if made > most+1 || made < most*3/4 {
		t.Errorf("checkpoint after %d clones, want at most %d and not far below", made, most)
	}
	closeStore(t, s)
	fsck(t, dev)
}

// censusOf sums up all objects: their names, sizes and attributes.
func censusOf(s *Store) (objects int, sum uint32, err error) {
	var all []byte
	var start *ObjectID
	for {
		list, next, err := s.List(bg, mainColl, start, nil, 1000)
		if err != nil {
			return 0, 0, err
		}
		for i := range list {
			st, err := s.Stat(bg, mainColl, list[i])
			if err != nil {
				return 0, 0, err
			}
			attrs, err := s.GetAttrs(bg, mainColl, list[i])
			if err != nil {
				return 0, 0, err
			}
			all = fmt.Appendln(all, list[i].Name, st.ID, st.Size, attrs)
		}
		objects += len(list)
		if start = next; next == nil {
			return objects, layout.CRC(all), nil
		}
	}
}

// TestMountReadsTheLog counts what a mount after a crash reads and writes while its
// changes go all over a store: the log, not the objects. They are there all the same.
func TestMountReadsTheLog(t *testing.T) {
	dev := newMem(256)
	opt := Options{MemoryBytes: minMemory, CheckpointInterval: time.Hour}
	s := newStore(t, dev, FormatOptions{}, opt)
	const objects = 4000
	for i := range objects / 100 {
		apply(t, s, func(x *Txn) {
			for j := range 100 {
				o := oid(fmt.Sprint("object", 100*i+j))
				x.SetAttrs(mainColl, o, map[string][]byte{"_": make([]byte, 200)})
			}
		})
	}
	closeStore(t, s)
	s = open(t, dev, opt)
	for i := 0; i < objects; i += 50 {
		o := oid(fmt.Sprint("object", i))
		switch i / 50 % 4 {
		case 0:
			apply(t, s, func(x *Txn) { x.SetAttrs(mainColl, o, map[string][]byte{"a": []byte("changed")}) })
		case 1:
			apply(t, s, func(x *Txn) { x.Remove(mainColl, o) })
		case 2:
			apply(t, s, func(x *Txn) { x.RmAttrs(mainColl, o) })
		case 3:
			apply(t, s, func(x *Txn) { x.Write(mainColl, oid(fmt.Sprint("new", i)), 0, []byte("new")) })
		}
	}
	n, want, err := censusOf(s)
	if err != nil || n != objects {
		t.Fatalf("%d objects, want %d: %v", n, objects, err)
	}
	s.Abandon()

	s = open(t, dev, opt)
	m := s.Metrics()
	if m.Checkpoints != 0 || m.Written[WriteTree] != 0 {
		t.Errorf("the mount took %d checkpoints and wrote %d bytes of metadata", m.Checkpoints, m.Written[WriteTree])
	}
	if m.ReplayRecords != objects/50 || m.DirtyOnodes != objects/50 {
		t.Errorf("%d records replayed, %d objects changed, want %d", m.ReplayRecords, m.DirtyOnodes, objects/50)
	}
	for _, when := range []string{"at once", "after a checkpoint"} {
		if again, got, err := censusOf(s); err != nil || got != want {
			t.Fatalf("%s: %d objects, want %d: %08x, want %08x: %v", when, again, n, got, want, err)
		}
		mustCheckpoint(t, s)
	}
	closeStore(t, s)
	fsck(t, dev)
}
