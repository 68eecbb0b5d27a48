package ebofs

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// readAll reads every object of m and returns the names that fail. Whatever is
// not an error must be right.
func readAll(t *testing.T, s *Store, m model) map[string]error {
	t.Helper()
	failed := map[string]error{}
	for name, b := range m {
		id := oid(name)
		note := func(err error) {
			if err == nil {
				return
			}
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, errUnreadable) {
				t.Errorf("object %s: %v does not match ErrCorrupt", name, err)
			}
			if !strings.Contains(err.Error(), name) {
				t.Errorf("error of object %s does not name it: %v", name, err)
			}
			failed[name] = err
		}
		st, err := s.Stat(bg, mainColl, id)
		note(err)
		if err == nil && st.Size != uint64(len(b.data)) {
			t.Errorf("object %s: size %d, want %d", name, st.Size, len(b.data))
		}
		for off := 0; off < len(b.data); off += 64 << 10 {
			want := b.data[off:min(off+64<<10, len(b.data))]
			if off%(1<<20) != 0 && bytes.Equal(want, make([]byte, len(want))) {
				continue // a hole; some of them are read
			}
			p := make([]byte, len(want))
			n, err := s.Read(bg, mainColl, id, uint64(off), p)
			note(err)
			if err == nil && !bytes.Equal(p[:n], want) {
				t.Errorf("object %s: wrong bytes at %d", name, off)
			}
		}
		attrs, err := s.GetAttrs(bg, mainColl, id)
		note(err)
		if err == nil && len(attrs) != len(b.attrs) {
			t.Errorf("object %s: %d attrs, want %d", name, len(attrs), len(b.attrs))
		}
		n := 0
		err = s.OmapIter(bg, mainColl, id, "", "", func(k, v []byte) bool {
			n++
			if !bytes.Equal(v, b.omap[string(k)]) {
				t.Errorf("object %s: wrong value of %s", name, k)
			}
			return true
		})
		note(err)
		if err == nil && n != len(b.omap) {
			t.Errorf("object %s: %d keys, want %d", name, n, len(b.omap))
		}
	}
	return failed
}

// TestDamage damages each kind of block: the mount or the read says what it
// found where, and what does not depend on the block reads as before.
func TestDamage(t *testing.T) {
	base := newMem(160)
	s := newStore(t, base, FormatOptions{}, Options{Inline: true})
	m := zoo(t, s)
	closeStore(t, s)
	fsck(t, base)
	seen := map[string]int{}
	for _, p := range anatomy(t, base) {
		if seen[p.kind]++; seen[p.kind] > 2 || testing.Short() && seen[p.kind] > 1 {
			continue
		}
		for name, change := range map[string]func(p []byte){
			"flip":  func(p []byte) { p[len(p)/3] ^= 4 },
			"zeros": func(p []byte) { clear(p) },
			"noise": func(p []byte) {
				for i := range p {
					p[i] = byte(i * i >> 3)
				}
			},
		} {
			if testing.Short() && name != "flip" {
				continue
			}
			if seen[p.kind] > 1 && name != "flip" {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d/%s", p.kind, p.block, name), func(t *testing.T) {
				dev := base.Snapshot()
				damage(t, dev, p.block, 1, change)
				damaged(t, dev, p, m)
			})
		}
	}
	for _, kind := range []string{"root record", "zone table", "bitmap", "objects level 0", "objects level 1", "omap level 0", "extents level 0", "extents level 1", "attrs level 0", "attrs value", "omap value", "data"} {
		if seen[kind] == 0 {
			t.Errorf("no %s in the store: %v", kind, seen)
		}
	}
}

func damaged(t *testing.T, dev *devices.Mem, p place, m model) {
	s, err := Open(bg, dev, Options{ReadOnly: true, MemoryBytes: minMemory})
	if err != nil {
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("mount: %v does not match ErrCorrupt", err)
		}
		if !strings.Contains(err.Error(), p.kind) && !strings.HasPrefix(p.kind, "collections") {
			t.Errorf("mount: the error does not name the %s: %v", p.kind, err)
		}
		if p.objects != nil {
			t.Errorf("mount refused for a damaged %s: %v", p.kind, err)
		}
		return
	}
	defer s.Close(bg)
	failed := readAll(t, s, m)
	if p.objects != nil {
		for name, err := range failed {
			if !p.objects[name] {
				t.Errorf("object %s does not depend on the damaged block and fails: %v", name, err)
			}
		}
		if len(failed) != len(p.objects) {
			t.Errorf("%d objects fail, %d lie on the block: %v", len(failed), len(p.objects), failed)
		}
	} else if p.kind == "zone table" || p.kind == "root record" {
		if len(failed) != 0 || !strings.Contains(s.Degraded(), p.kind) {
			t.Errorf("a reader does without the %s: %v fail, %q", p.kind, failed, s.Degraded())
		}
	} else if len(failed) == 0 {
		t.Errorf("nothing depends on %s", p.kind)
	}
	for name, err := range failed {
		var c *CorruptError
		if !errors.As(err, &c) {
			t.Errorf("object %s: %v is no *CorruptError", name, err)
		} else if uint64(c.Block) > p.block || p.block >= uint64(c.Block)+uint64(p.blocks) {
			t.Errorf("object %s: error names block %d, damaged is %d: %v", name, c.Block, p.block, err)
		}
	}
}

// TestDamageContained goes on writing to a store with a block that is damaged, or
// cannot be read: what does not depend on it commits, is checkpointed and
// survives a mount; what does never shows the state before its changes, even
// when the block can be read again.
func TestDamageContained(t *testing.T) {
	base := newMem(160)
	s := newStore(t, base, FormatOptions{}, Options{Inline: true})
	m := zoo(t, s)
	closeStore(t, s)
	seen := map[string]int{}
	for _, p := range anatomy(t, base) {
		switch seen[p.kind]++; {
		case seen[p.kind] > 1, p.objects == nil:
			continue
		}
		t.Run(fmt.Sprintf("damaged %s/%d", p.kind, p.block), func(t *testing.T) {
			dev := base.Snapshot()
			damage(t, dev, p.block, 1, func(p []byte) { p[len(p)/3] ^= 4 })
			containDamage(t, dev, p, m, Options{Inline: true}, func() {})
		})
		t.Run(fmt.Sprintf("unreadable %s/%d", p.kind, p.block), func(t *testing.T) {
			fail := &failingReads{blockedReads: &blockedReads{Mem: base.Snapshot(), seen: make(chan devices.Block, 1000)}, only: p.block}
			fail.on.Store(true)
			containDamage(t, fail, p, m, quiet(), func() { fail.on.Store(false) })
		})
	}
}

func containDamage(t *testing.T, dev devices.Device, p place, m model, opt Options, heal func()) {
	s := open(t, dev, opt)
	m = m.clone()
	for name := range m {
		ops := []modelOp{
			{code: opWrite, name: name, off: 5000, data: []byte("new bytes")},
			{code: opSetAttrs, name: name, kv: map[string][]byte{"n": []byte("w")}},
			{code: opOmapSet, name: name, kv: map[string][]byte{"k0500x": []byte("w")}},
		}
		err := s.Apply(bg, txnOf(mainColl, ops))
		switch {
		case err == nil:
			m.apply(ops)
		case !p.objects[name]:
			t.Fatalf("object %s: %v", name, err)
		}
	}
	if err := s.Checkpoint(bg); err != nil {
		t.Fatal("checkpoint: ", err)
	}
	for range 3 {
		for name, err := range readAll(t, s, m) {
			if !p.objects[name] {
				t.Errorf("object %s: %v", name, err)
			}
		}
		if err := s.Close(bg); err != nil {
			t.Fatal("close: ", err)
		}
		s = open(t, dev, Options{Inline: true})
		heal() // what the mount has not read yet
	}
	if n := s.Metrics().GivenUp; n != 0 {
		t.Errorf("%d things given up by mounts", n)
	}
	for name := range p.objects {
		// A damaged object can be removed, unless it is unknown what it is.
		err := s.Apply(bg, txnOf(mainColl, []modelOp{{code: opRemove, name: name}}))
		if err != nil && !strings.HasPrefix(p.kind, "objects") {
			t.Errorf("remove of %s: %v", name, err)
		}
	}
	if err := s.Close(bg); err != nil {
		t.Fatal("close: ", err)
	}
}

// TestRootLost: with the newest root record damaged a read-only open shows the
// checkpoint before and what the log has since, and says so; writing is refused.
func TestRootLost(t *testing.T) {
	for _, abandon := range []bool{false, true} {
		dev := newMem(64)
		s := newStore(t, dev, FormatOptions{}, Options{Inline: true})
		m := model{}
		for i := range 40 {
			ops := []modelOp{{code: opWrite, name: fmt.Sprint("o", i), data: bytes.Repeat([]byte{byte(i)}, 300*i)}}
			apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
			m.apply(ops)
			if i%13 == 12 {
				mustCheckpoint(t, s)
			}
		}
		if !abandon {
			closeStore(t, s)
		}
		f, err := Find(bg, dev)
		if err != nil {
			t.Fatal(err)
		}
		damage(t, dev, f.Super.Root.Addr.Block(), 1, func(p []byte) { p[100] ^= 4 })
		if _, err := Open(bg, dev.Snapshot(), Options{Inline: true}); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "root record") {
			t.Errorf("open for writing: %v", err)
		}
		r := open(t, dev, Options{ReadOnly: true})
		if d := r.Degraded(); !strings.Contains(d, "root record") || !strings.Contains(d, fmt.Sprint("epoch ", f.Super.Epoch)) {
			t.Errorf("degraded: %q", d)
		}
		mustCompare(t, r, m)
		closeStore(t, r)
	}
}

// TestCollectionsLost: with a leaf of the collections tree damaged a read-only
// open shows the others, and their objects.
func TestCollectionsLost(t *testing.T) {
	dev := newMem(64)
	s := newStore(t, dev, FormatOptions{}, Options{Inline: true})
	const n = 1500
	for i := range n {
		c := CollectionID(fmt.Sprintf("1.%x_head", i))
		apply(t, s, func(x *Txn) {
			x.MkColl(c, CollSpec{Shard: layout.NoShard, Pool: int64(i + 10)})
			id := oid("o")
			id.Pool = int64(i + 10)
			x.Write(c, id, 0, []byte(c))
		})
	}
	closeStore(t, s)
	var leaf place
	leaves := 0
	for _, p := range anatomy(t, dev) {
		if p.kind == "collections level 0" {
			leaf, leaves = p, leaves+1
		}
	}
	if leaves < 3 {
		t.Fatalf("%d leaves", leaves)
	}
	damage(t, dev, leaf.block, 1, func(p []byte) { p[200] ^= 4 })
	if _, err := Open(bg, dev.Snapshot(), Options{Inline: true}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("open for writing: %v", err)
	}
	r := open(t, dev, Options{ReadOnly: true})
	defer closeStore(t, r)
	if !strings.Contains(r.Degraded(), "collections are missing") {
		t.Errorf("degraded: %q", r.Degraded())
	}
	cs, err := r.Collections(bg)
	if !errors.Is(err, ErrCorrupt) || len(cs) < n/leaves/2 || len(cs) >= n {
		t.Errorf("%d collections of %d in %d leaves, %v", len(cs), n, leaves, err)
	}
	have := map[CollectionID]bool{}
	for _, c := range cs {
		have[c] = true
	}
	for i := range n {
		c := CollectionID(fmt.Sprintf("1.%x_head", i))
		if _, err := r.CollectionSpec(c); have[c] != (err == nil) || err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatalf("collection %s, read %v: %v", c, have[c], err)
		}
	}
	for _, c := range cs {
		if c == mainColl {
			continue
		}
		spec, err := r.CollectionSpec(c)
		if err != nil {
			t.Fatal(err)
		}
		id, p := oid("o"), make([]byte, 100)
		id.Pool = spec.Pool
		if k, err := r.Read(bg, c, id, 0, p); err != nil || string(p[:k]) != string(c) {
			t.Fatalf("collection %s: %q, %v", c, p[:k], err)
		}
	}
}

// TestSuperblocks damages labels and superblock slots.
func TestSuperblocks(t *testing.T) {
	base := newMem(64)
	s := newStore(t, base, FormatOptions{Label: "disk"}, Options{Inline: true})
	m := model{}
	ops := []modelOp{{code: opWrite, name: "a", data: bytes.Repeat([]byte("x"), 100000)}, {code: opTouch, name: "b"}}
	apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
	m.apply(ops)
	closeStore(t, s)
	blocks := base.Geometry().Blocks
	slots := layout.SlotBlocks(blocks)
	zero := func(first, n uint64) func(*testing.T, *devices.Mem) {
		return func(t *testing.T, dev *devices.Mem) {
			if err := dev.Zero(bg, devices.Block(first), n); err != nil {
				t.Fatal(err)
			}
		}
	}
	const mib = 1 << 20 / blockSize
	flip := func(list ...uint64) func(*testing.T, *devices.Mem) {
		return func(t *testing.T, dev *devices.Mem) {
			for _, b := range list {
				damage(t, dev, b, 1, func(p []byte) { p[100] ^= 1 })
			}
		}
	}
	// edit decodes every slot, changes it and encodes it again.
	edit := func(fn func(sb *layout.Superblock)) func(*testing.T, *devices.Mem) {
		return func(t *testing.T, dev *devices.Mem) {
			for _, b := range slots {
				damage(t, dev, b, 1, func(p []byte) {
					sb, err := layout.DecodeSuperblock(p)
					if err != nil {
						t.Fatal(err)
					}
					fn(&sb)
					if err := sb.Encode(p); err != nil {
						t.Fatal(err)
					}
				})
			}
		}
	}
	for _, c := range []struct {
		name   string
		damage func(*testing.T, *devices.Mem)
		err    error  // of a mount for writing; nil: works
		ro     error  // of a read-only one
		says   string // in the error
	}{
		{name: "first 2 MiB", damage: zero(0, 2*mib), err: ErrLabelLost, says: "block 0"},
		{name: "last 2 MiB", damage: zero(blocks-2*mib, 2*mib)},
		{name: "label", damage: flip(0)},
		{name: "head slots", damage: flip(slots[0], slots[1])},
		{name: "tail slots", damage: flip(slots[2], slots[3])},
		{name: "older slots of both ends", damage: func(t *testing.T, dev *devices.Mem) {
			f, err := Find(bg, dev)
			if err != nil {
				t.Fatal(err)
			}
			g := (f.Super.Generation + 1) % 2
			flip(slots[g], slots[2+g])(t, dev)
		}},
		{name: "first 6 MiB", damage: zero(0, 4*mib+1), err: ErrLabelLost, says: "block 0"},
		{name: "every slot", damage: flip(slots[:]...), err: layout.ErrNoSuperblock, ro: layout.ErrNoSuperblock, says: "superblock"},
		{name: "every slot and the label", damage: flip(append(slots[:], 0)...), err: layout.ErrNoSuperblock, ro: layout.ErrNoSuperblock, says: "superblock"},
		{name: "all zeros", damage: zero(0, blocks), err: ErrNoStore, ro: ErrNoStore, says: "neither a label nor a superblock"},
		{name: "unknown incompat feature", damage: edit(func(sb *layout.Superblock) { sb.Features.Incompat |= 1 << 40 }), err: layout.ErrFeature, ro: layout.ErrFeature, says: "incompat"},
		{name: "unknown ro_compat feature", damage: edit(func(sb *layout.Superblock) { sb.Features.ROCompat |= 1 << 40 }), err: layout.ErrFeature, says: "ro_compat"},
		{name: "unknown compat feature", damage: edit(func(sb *layout.Superblock) { sb.Features.Compat |= 1 << 40 })},
		{name: "mkfs did not finish", damage: edit(func(sb *layout.Superblock) { sb.Flags |= layout.SuperFormatting }), err: ErrNoStore, ro: ErrNoStore, says: "mkfs"},
		{name: "another store's slots", damage: func(t *testing.T, dev *devices.Mem) {
			other := newMem(64)
			format(t, other, FormatOptions{})
			for _, b := range slots[:2] {
				damage(t, other, b, 1, func(q []byte) { damage(t, dev, b, 1, func(p []byte) { copy(p, q) }) })
			}
		}, err: layout.ErrDisagree, ro: layout.ErrDisagree},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := base.Snapshot()
			c.damage(t, dev)
			before := dev.Hash()
			for _, ro := range []bool{true, false} {
				want := c.err
				if ro {
					want = c.ro
				}
				s, err := Open(bg, dev, Options{ReadOnly: ro, Inline: true})
				if want != nil {
					if !errors.Is(err, want) || !strings.Contains(err.Error(), c.says) {
						t.Errorf("read-only %v: %v, want %v saying %q", ro, err, want, c.says)
					}
					if dev.Hash() != before {
						t.Errorf("a refused mount has written")
					}
					continue
				}
				if err != nil {
					t.Errorf("read-only %v: %v", ro, err)
					continue
				}
				mustCompare(t, s, m)
				closeStore(t, s)
				if ro && dev.Hash() != before {
					t.Errorf("a read-only mount has written")
				}
			}
		})
	}
}

// TestNewerFormat: a version of the superblock that says we must not read it.
func TestNewerFormat(t *testing.T) {
	dev := newMem(32)
	format(t, dev, FormatOptions{})
	for _, b := range layout.SlotBlocks(dev.Geometry().Blocks) {
		damage(t, dev, b, 1, func(p []byte) {
			// type, version, min reader at 12..14, as in every block; CRC over [12:4096)
			p[13], p[14] = 200, 200
			sealBlock(p)
		})
	}
	_, err := Open(bg, dev, Options{})
	if !errors.Is(err, layout.ErrNewer) || errors.Is(err, ErrCorrupt) {
		t.Errorf("%v, want %v", err, layout.ErrNewer)
	}
}

// sealBlock renews the checksum of a label or superblock, which lies at 8.
func sealBlock(p []byte) {
	crc := layout.CRC(p[12:])
	p[8], p[9], p[10], p[11] = byte(crc), byte(crc>>8), byte(crc>>16), byte(crc>>24)
}

// TestDeviceSizes: too small for a store, and smaller than the store on it.
func TestDeviceSizes(t *testing.T) {
	for _, mib := range []uint64{1, 15, 31} {
		dev := newMem(mib)
		before := dev.Hash()
		if _, err := Format(bg, dev, FormatOptions{}); !errors.Is(err, layout.ErrTooSmall) {
			t.Errorf("format of %d MiB: %v", mib, err)
		}
		if _, err := Open(bg, dev, Options{}); !errors.Is(err, ErrNoStore) {
			t.Errorf("mount of %d MiB: %v", mib, err)
		}
		if dev.Hash() != before {
			t.Error("refused and written")
		}
	}
	if _, err := Format(bg, newMem(32), FormatOptions{SizeBytes: 64 << 20}); !errors.Is(err, ErrInvalid) {
		t.Errorf("store larger than its device: %v", err)
	}
	big := newMem(64)
	s := newStore(t, big, FormatOptions{}, Options{Inline: true})
	closeStore(t, s)
	for _, mib := range []uint64{63, 40, 20} {
		cut := newMem(mib)
		copyBlocks(t, cut, big)
		for _, ro := range []bool{true, false} {
			_, err := Open(bg, cut, Options{ReadOnly: ro})
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "truncated") {
				t.Errorf("image cut to %d MiB: %v", mib, err)
			}
		}
	}
	grown := newMem(96) // dd to a larger disk
	copyBlocks(t, grown, big)
	s = open(t, grown, Options{Inline: true})
	closeStore(t, s)
	if err := grown.Zero(bg, 0, 512); err != nil { // and the label is lost
		t.Fatal(err)
	}
	if _, err := Open(bg, grown, Options{Inline: true}); !errors.Is(err, ErrLabelLost) {
		t.Errorf("write to a store that has lost its label: %v", err)
	}
	s = open(t, grown, Options{ReadOnly: true})
	closeStore(t, s)
}

// copyBlocks copies as much of src as fits.
func copyBlocks(t testing.TB, dst, src *devices.Mem) {
	t.Helper()
	n := min(dst.Geometry().Blocks, src.Geometry().Blocks)
	pool := devices.NewPool(devices.PoolOptions{})
	defer pool.Close()
	f := pool.Get(256 * blockSize)
	defer f.Release()
	for b := uint64(0); b < n; b += 256 {
		p := f.Bytes()[:min(256, n-b)*blockSize]
		if err := src.Read(bg, devices.Block(b), devices.Vec{p}); err != nil {
			t.Fatal(err)
		}
		if err := dst.Write(bg, devices.Block(b), devices.Vec{p}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestLogDevice: a store whose log lies elsewhere wants that very device.
func TestLogDevice(t *testing.T) {
	dev, log := newMem(64), newMem(32)
	s := newStore(t, dev, FormatOptions{LogDevice: log}, Options{Inline: true, LogDevice: log})
	m := model{}
	ops := []modelOp{{code: opWrite, name: "a", data: bytes.Repeat([]byte("x"), 3000)}, {code: opWrite, name: "b", data: bytes.Repeat([]byte("y"), 300000)}}
	apply(t, s, func(x *Txn) { *x = *txnOf(mainColl, ops) })
	m.apply(ops)
	image, logImage := dev.Snapshot(), log.Snapshot() // crashed: the log is needed
	closeStore(t, s)

	other, otherLog := newMem(64), newMem(32)
	format(t, other, FormatOptions{LogDevice: otherLog})
	for _, c := range []struct {
		name     string
		dev, log devices.Device
		err      error
		says     string
	}{
		{"missing", image, nil, ErrLogMissing, "log"},
		{"another store's", image, otherLog, ErrLogMissing, "wanted"},
		{"blank", image, newMem(32), ErrNoStore, "log device"},
		{"the main device itself", image, image, ErrLogMissing, "wanted"},
		{"swapped", logImage, image, ErrInvalid, "main device"},
	} {
		for _, ro := range []bool{true, false} {
			_, err := Open(bg, c.dev, Options{ReadOnly: ro, LogDevice: c.log})
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("%s, read-only %v: %v, want %v saying %q", c.name, ro, err, c.err, c.says)
			}
		}
	}
	s = open(t, image, Options{Inline: true, LogDevice: logImage})
	mustCompare(t, s, m)
	closeStore(t, s)
	for _, log := range []devices.Device{logImage, nil} { // closed: its log holds nothing
		s = open(t, image, Options{ReadOnly: true, LogDevice: log})
		mustCompare(t, s, m)
		closeStore(t, s)
	}
	if _, err := Open(bg, image, Options{}); !errors.Is(err, ErrLogMissing) {
		t.Errorf("opened for writing without its log: %v", err)
	}
	if _, err := Open(bg, image, Options{ReadOnly: true, LogDevice: otherLog}); !errors.Is(err, ErrLogMissing) {
		t.Errorf("opened with another store's log: %v", err)
	}
}
