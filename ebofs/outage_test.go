package ebofs

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"ebofs/devices"
	"ebofs/devices/faultdev"
)

// TestOutageAtMount: a device that stops reading in the middle of a replay ends
// the mount, not the log. Records whose data cannot be read are torn only if the
// device reads anything else.
func TestOutageAtMount(t *testing.T) {
	base := newMem(64)
	s := newStore(t, base, FormatOptions{}, quiet())
	m := model{}
	for i := range 3 {
		ops := []modelOp{{code: opWrite, name: fmt.Sprint("direct", i), data: make([]byte, 256<<10)}}
		apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
		m.apply(ops)
	}
	used := base.Snapshot() // the log holds it all
	closeStore(t, s)
	count := faultdev.New(used.Snapshot(), faultdev.Options{})
	closeStore(t, open(t, count, quiet()))
	reads := count.Counts()[devices.OpRead].N
	for nth := uint64(1); nth <= reads; nth += 3 {
		mem := used.Snapshot()
		dev := faultdev.New(mem, faultdev.Options{})
		if err := dev.Script(fmt.Sprintf("read nth=%d eio always", nth)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(bg, dev, quiet())
		if err == nil { // only what the mount reads last may be left
			s.Close(bg)
		} else if !errors.Is(err, faultdev.ErrInjected) {
			t.Errorf("read %d of %d: mount says %v", nth, reads, err)
		}
		s = open(t, mem, quiet())
		if err := compare(s, mainColl, m); err != nil {
			t.Fatalf("reads failed from %d of %d on: %v", nth, reads, err)
		}
		closeStore(t, s)
	}
}

// TestOutageInFold: a device that has stopped reading damages no block that
// journaled bytes are merged over.
func TestOutageInFold(t *testing.T) {
	mem := newMem(64)
	s := newStore(t, mem, FormatOptions{}, quiet())
	m := model{}
	put := func(s *Store, name string, off uint64, n int) {
		ops := []modelOp{{code: opWrite, name: name, off: off, data: bytes.Repeat([]byte{7}, n)}}
		apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
		m.apply(ops)
	}
	put(s, "a", 0, 40<<10)
	closeStore(t, s)
	dev := faultdev.New(mem, faultdev.Options{})
	s = open(t, dev, quiet())
	put(s, "a", 12<<10, 8<<10) // brings the bitmaps of its zones into RAM
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal(err)
	}
	put(s, "a", 5000, 100)
	if _, err := s.Fiemap(bg, mainColl, oid("a"), 0, 40<<10); err != nil { // its map is in RAM
		t.Fatal(err)
	}
	if ok, err := s.Exists(bg, mainColl, oid("b")); ok || err != nil { // and its node
		t.Fatal(ok, err)
	}
	if err := dev.Script("read eio always"); err != nil {
		t.Fatal(err)
	}
	if err := s.Checkpoint(bg); !errors.Is(err, faultdev.ErrInjected) {
		t.Errorf("checkpoint on a device that reads nothing: %v", err)
	}
	s.Close(bg)
	s = open(t, mem, quiet())
	mustCompare(t, s, m)
	closeStore(t, s)
	fsck(t, mem)
}
