package repair

import (
	"errors"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/devices/faultdev"
	"ebofs/ebofs"
	"ebofs/ebofs/layout"
)

// TestUnreadable repairs stores in which a block of each kind cannot be read.
func TestUnreadable(t *testing.T) {
	o := sample()
	seen := map[string]bool{}
	for _, p := range o.places {
		if seen[p.kind] {
			continue
		}
		seen[p.kind] = true
		t.Run(p.kind, func(t *testing.T) {
			mem := o.dev.Snapshot()
			dev := faultdev.New(mem, faultdev.Options{})
			if err := dev.Add(faultdev.Rule{Ops: faultdev.Only(devices.OpRead), Kind: faultdev.EIO, B: devices.Block(p.block), N: 1, Always: true}); err != nil {
				t.Fatal(err)
			}
			res, err := runUndo(dev, new(memFile), Options{Mode: All, Overwrite: true, Deep: true})
			if err != nil {
				t.Fatal(err)
			}
			if len(dev.Unhit()) > 0 {
				t.Fatal("nobody read the block")
			}
			if p.objects != nil || p.kind == "zone table" || p.kind == "bitmap" || p.kind == "root record" || p.kind == "objects inner" {
				clean(t, dev) // the block is still unreadable, and nothing needs it
			} else {
				dev.Clear() // a sector that was written can be read again
				clean(t, dev)
			}
			for name := range compare(t, dev, o.want) {
				if !p.objects[name] {
					t.Errorf("object %s does not depend on the block and fails: %v", name, res.Actions)
				}
			}
		})
	}
}

// TestFailedWrites fails each write and each flush of a repair, once and from there
// on: the error comes up, and the repair can be run again and taken back.
func TestFailedWrites(t *testing.T) {
	o := sample()
	damaged := o.dev.Snapshot()
	for _, kind := range []string{"objects inner", "zone table", "extents leaf", "label"} {
		p := place1(kind)
		change(t, damaged, p.block, p.blocks, clearAll)
	}
	was := damaged.Hash()
	opt := Options{Mode: All, Overwrite: true}
	count := faultdev.New(damaged.Snapshot(), faultdev.Options{})
	if _, err := runUndo(count, new(memFile), opt); err != nil {
		t.Fatal(err)
	}
	n := count.Counts()
	for _, op := range []devices.Op{devices.OpWrite, devices.OpFlush} {
		step := uint64(1)
		if testing.Short() {
			step = max(1, n[op].N/6)
		}
		for nth := uint64(1); nth <= n[op].N; nth += step {
			for _, always := range []bool{false, true} {
				mem := damaged.Snapshot()
				dev := faultdev.New(mem, faultdev.Options{})
				if err := dev.Add(faultdev.Rule{Ops: faultdev.Only(op), Kind: faultdev.EIO, Nth: nth, Always: always}); err != nil {
					t.Fatal(err)
				}
				first, second := new(memFile), new(memFile)
				if _, err := runUndo(dev, first, opt); !errors.Is(err, faultdev.ErrInjected) {
					t.Fatalf("%v %d: %v", op, nth, err)
				}
				if _, err := runUndo(mem, second, opt); err != nil {
					t.Fatalf("%v %d, again: %v", op, nth, err)
				}
				clean(t, mem)
				compare(t, mem, o.want)
				for _, f := range []*memFile{second, first} {
					if len(f.p) > 0 {
						if _, err := ApplyUndo(bg, f, mem); err != nil {
							t.Fatalf("%v %d, undo: %v", op, nth, err)
						}
					}
				}
				if mem.Hash() != was {
					t.Fatalf("%v %d, undo: the image is not what it was", op, nth)
				}
				if t.Failed() {
					t.Fatalf("%v %d", op, nth)
				}
			}
		}
	}
	t.Logf("%d writes, %d flushes", n[devices.OpWrite].N, n[devices.OpFlush].N)
}

// TestStaleUndo: what was written since a repair is not taken back with it, be it by
// a mount or by somebody else, and nothing is written then. A part of the file that
// is applied already does not count. ForceUndo applies it all the same.
func TestStaleUndo(t *testing.T) {
	o := sample()
	for _, kind := range []string{"zone table", "objects inner", "label"} {
		t.Run(kind, func(t *testing.T) {
			mem := o.dev.Snapshot()
			p := place1(kind)
			change(t, mem, p.block, p.blocks, clearAll)
			was := mem.Hash()
			file := new(memFile)
			if _, err := runUndo(mem, file, Options{Mode: All, Overwrite: true}); err != nil {
				t.Fatal(err)
			}
			u, err := openUndo(file)
			if err != nil || !u.finished {
				t.Fatalf("finished %v: %v", u.finished, err)
			}
			stale := func(what string, mem *devices.Mem, file *memFile, want string) {
				now := mem.Hash()
				if _, err := ApplyUndo(bg, file, mem); !errors.Is(err, ErrUndo) || !errors.Is(err, ErrChanged) || !strings.Contains(err.Error(), want) {
					t.Errorf("%s: %v, want %q", what, err, want)
				}
				if mem.Hash() != now {
					t.Errorf("%s: something was written", what)
				}
			}
			used := mem.Snapshot()
			s := open(t, used, ebofs.Options{})
			apply(t, s, func(x *ebofs.Txn) { x.Write(coll, object("later"), 0, fill(3, 5000)) })
			if err := s.Close(bg); err != nil {
				t.Fatal(err)
			}
			stale("a mount", used, file, "its superblock is generation ")
			// Of a repair that did not come to its end nothing but that is known.
			stale("a mount, the repair interrupted", used, unfinished(t, file), "its superblock is generation ")
			// One block that is again what it was is none that has changed.
			part := mem.Snapshot()
			var block uint64
			if err := u.each(bg, func(b uint64, data []byte) error {
				block = b
				change(t, part, b, len(data)/layout.BlockSize, func(p []byte) { copy(p, data) })
				return errEnough
			}); !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			if kind != "label" {
				other := mem.Snapshot()
				change(t, other, block, 1, func(p []byte) { copy(p, fill(9, len(p))) })
				stale("a foreign write", other, file, "hold something else now, the first is block ")
			}
			for _, mem := range []*devices.Mem{part, mem.Snapshot()} {
				for range 2 {
					if _, err := ApplyUndo(bg, file, mem); err != nil || mem.Hash() != was {
						t.Errorf("not stale: %v, same %v", err, mem.Hash() == was)
					}
				}
			}
			if _, err := ForceUndo(bg, file, used); err != nil {
				t.Error(err)
			}
		})
	}
}

var errEnough = errors.New("enough")

// badFile is an undo file on a full disk.
type badFile struct {
	memFile
	room int
}

func (f *badFile) WriteAt(p []byte, off int64) (int, error) {
	if int(off)+len(p) > f.room {
		return 0, errors.New("no space left on device")
	}
	return f.memFile.WriteAt(p, off)
}

// TestUndoFull: nothing is overwritten that the undo file has no room for.
func TestUndoFull(t *testing.T) {
	o := sample()
	damaged := o.dev.Snapshot()
	p := place1("zone table")
	change(t, damaged, p.block, p.blocks, clearAll)
	was := damaged.Hash()
	whole := new(memFile)
	if _, err := runUndo(damaged.Snapshot(), whole, Options{Mode: All}); err != nil {
		t.Fatal(err)
	}
	for room := 0; room < len(whole.p); room += 9001 {
		dev, f := damaged.Snapshot(), &badFile{room: room}
		if _, err := runUndo(dev, f, Options{Mode: All}); !errors.Is(err, ErrUndo) {
			t.Fatalf("room for %d bytes: %v", room, err)
		}
		if len(f.p) >= undoHeader {
			if _, err := ApplyUndo(bg, f, dev); err != nil && dev.Hash() != was {
				t.Fatalf("room for %d bytes: undo: %v", room, err)
			}
		}
		if dev.Hash() != was {
			t.Fatalf("room for %d bytes: something was overwritten for good", room)
		}
	}
}
