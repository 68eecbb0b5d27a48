package repair

import (
	"testing"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// TestLogDevice: the log of a store on two devices is replayed, and the main device
// mended; an undo of the main device leaves the log able to be replayed again.
func TestLogDevice(t *testing.T) {
	main := devices.NewMem(devices.MemOptions{Blocks: 64 << 20 / layout.BlockSize})
	log := devices.NewMem(devices.MemOptions{Blocks: 16 << 20 / layout.BlockSize})
	if _, err := ebofs.Format(bg, main, ebofs.FormatOptions{LogDevice: log}); err != nil {
		t.Fatal(err)
	}
	s := open(t, main, ebofs.Options{LogDevice: log})
	apply(t, s, func(x *ebofs.Txn) {
		x.MkColl(coll, ebofs.CollSpec{Shard: -1, Pool: 1})
		x.Write(coll, object("a"), 0, fill(1, 300000))
	})
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("b"), 0, fill(2, 3000)) })
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	crashed, crashedLog := main.Snapshot(), log.Snapshot()
	if err := s.Close(bg); err != nil {
		t.Fatal(err)
	}
	main, log = crashed, crashedLog
	f, err := ebofs.Find(bg, main)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ebofs.ReadRoots(bg, main, &f.Super)
	if err != nil {
		t.Fatal(err)
	}
	change(t, main, r.Record.ZoneTables[0].Addr.Block(), 1, clearAll)
	change(t, main, 0, 1, clearAll)
	was, logWas := main.Hash(), log.Hash()
	if _, err := Run(bg, main.Snapshot(), Options{Mode: All}); err == nil {
		t.Fatal("repaired without its log")
	}
	for range 2 {
		file := new(memFile)
		if _, err := runUndo(main, file, Options{Mode: All, LogDevice: log}); err != nil {
			t.Fatal(err)
		}
		rep, err := check.Run(bg, main, check.Options{Level: check.Deep, LogDevice: log})
		if err != nil || !rep.OK() {
			t.Fatal(err, rep.Problems)
		}
		s := open(t, main, ebofs.Options{LogDevice: log, ReadOnly: true})
		for name, want := range map[string][]byte{"a": fill(1, 300000), "b": fill(2, 3000)} {
			if c, err := get(s, object(name)); err != nil || string(c.data) != string(want) {
				t.Errorf("object %s: %v", name, err)
			}
		}
		s.Close(bg)
		if log.Hash() != logWas {
			t.Error("the log device has changed, and no undo file keeps that")
		}
		if _, err := ApplyUndo(bg, file, main); err != nil || main.Hash() != was {
			t.Errorf("undo: %v, same %v", err, main.Hash() == was)
		}
	}
}
