package ebofs

import (
	"errors"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// TestRemoveDamaged: an object that is marked as damaged can be removed and nothing
// else; its name is free afterwards, through a crash too.
func TestRemoveDamaged(t *testing.T) {
	dev := newMem(64)
	s := newStore(t, dev, FormatOptions{}, Options{Inline: true})
	id := oid("sick")
	x := NewTxn()
	x.Write(mainColl, id, 0, make([]byte, 300000))
	x.SetAttr(mainColl, id, "a", []byte("b"))
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	mustCheckpoint(t, s)
	key := id.AppendKey(nil)
	val, ok, err := s.objects.Get(bg, key, nil)
	if err != nil || !ok {
		t.Fatal(ok, err)
	}
	on, err := layout.DecodeOnode(val)
	if err != nil {
		t.Fatal(err)
	}
	on.Flags |= layout.OnodeDamaged
	if val, err = on.Append(nil); err != nil {
		t.Fatal(err)
	}
	s.objects.Put(key, val)
	x.Reset()
	x.Touch(mainColl, oid("other")) // or there is nothing to checkpoint
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)

	s, err = Open(bg, dev, Options{Inline: true, MemoryBytes: minMemory})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Stat(bg, mainColl, id); !errors.Is(err, ErrCorrupt) {
		t.Errorf("stat: %v", err)
	}
	x.Reset()
	x.Rename(mainColl, id, oid("elsewhere"))
	if err := s.Apply(bg, x); !errors.Is(err, ErrCorrupt) {
		t.Errorf("rename: %v", err)
	}
	x.Reset()
	x.Remove(mainColl, id)
	x.Write(mainColl, id, 0, []byte("anew"))
	if err := s.Apply(bg, x); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(bg); err != nil {
		t.Fatal(err)
	}
	crashed := dev.Snapshot()
	closeStore(t, s)
	for name, at := range map[string]*devices.Mem{"closed": dev, "crashed": crashed} {
		s, err := Open(bg, at, Options{Inline: true, MemoryBytes: minMemory})
		if err != nil {
			t.Fatal(err)
		}
		p := make([]byte, 10)
		if n, err := s.Read(bg, mainColl, id, 0, p); err != nil || string(p[:n]) != "anew" {
			t.Errorf("%s: %q, %v", name, p[:n], err)
		}
		closeStore(t, s)
		fsck(t, at)
	}
}
