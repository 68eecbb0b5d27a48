package check_test

import (
	"context"
	"encoding/binary"
	"math/rand"
	"testing"

	"ebofs/ebofs/check"
	"ebofs/ebofs/layout"
)

// usedBlocks lists the blocks of a forged store that hold something.
func (f *forge) usedBlocks() []uint64 {
	bs := []uint64{0}
	bs = append(bs, f.place.Slots[:]...)
	for b := f.place.ZoneStart; b < f.next; b++ {
		bs = append(bs, b)
	}
	return bs
}

// TestEveryFlip changes single bytes of blocks in use: level deep reports each one.
// Only the padding behind a long value is nobody's.
func TestEveryFlip(t *testing.T) {
	const seed = 5
	f := newForge(t)
	f.sample()
	base := f.finish()
	wantClean(t, run(t, base, check.Options{Level: check.Deep}))
	r := rand.New(rand.NewSource(seed))
	blocks := f.usedBlocks()
	for i := range 200 {
		b, off := blocks[r.Intn(len(blocks))], r.Intn(layout.BlockSize)
		if pad, ok := f.padding[b]; ok && off >= pad {
			continue
		}
		dev := base.Snapshot()
		p := readBlocks(t, dev, b, 1)
		p[off] ^= byte(1 + r.Intn(255))
		writeBlocks(t, dev, b, p)
		rep, err := check.Run(bg, dev, check.Options{Level: check.Deep})
		if err == nil && rep.OK() {
			t.Errorf("seed %d step %d: block %d byte %d changed and nobody noticed", seed, i, b, off)
		}
	}
}

// TestSwaps puts every block in use where another one belongs.
func TestSwaps(t *testing.T) {
	const seed = 6
	f := newForge(t)
	f.sample()
	base := f.finish()
	r := rand.New(rand.NewSource(seed))
	blocks := f.usedBlocks()
	for i := range 60 {
		from, to := blocks[r.Intn(len(blocks))], blocks[r.Intn(len(blocks))]
		if from == to {
			continue
		}
		dev := base.Snapshot()
		writeBlocks(t, dev, to, readBlocks(t, dev, from, 1))
		rep, err := check.Run(bg, dev, check.Options{Level: check.Deep})
		if err == nil && rep.OK() {
			t.Errorf("seed %d step %d: block %d over block %d and nobody noticed", seed, i, from, to)
		}
	}
}

// FuzzImage checks mutated stores: no panic, no hang, whatever they hold. Input is a
// list of 8-byte mutations {block u16, offset u16, how u16, value u16}; how&1 makes
// the checksum of a node or block with a header right again, so that the fields are
// believed.
func FuzzImage(f *testing.F) {
	fg := newForge(f)
	fg.sample()
	fg.trash[keyOf(9)] = func() []byte {
		p, _ := (&layout.Trash{ID: 9, Extents: fg.tree(layout.TreeExtents, 9, map[string][]byte{keyOf(0): chunkValue(f, fg.data(2))})}).Append(nil)
		return p
	}()
	base := fg.finish()
	blocks := fg.usedBlocks()
	f.Add([]byte{1, 0, 70, 0, 1, 0, 255, 255})
	for i := 0; i < len(blocks); i += 5 {
		f.Add(binary.LittleEndian.AppendUint64(nil, uint64(i)|64<<16|1<<32|0xff<<48))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 64 {
			return
		}
		dev := base.Snapshot()
		for ; len(p) >= 8; p = p[8:] {
			b := blocks[int(binary.LittleEndian.Uint16(p))%len(blocks)]
			off := int(binary.LittleEndian.Uint16(p[2:])) % (layout.BlockSize - 1)
			buf := readBlocks(t, dev, b, 1)
			copy(buf[off:], p[6:8])
			if p[4]&1 != 0 {
				seal(buf)
			}
			writeBlocks(t, dev, b, buf)
		}
		rep, err := check.Run(context.Background(), dev, check.Options{Level: check.Deep, Workers: 1, MemoryBytes: 1 << 20})
		if err == nil && len(rep.Problems) > 10000 {
			t.Fatal("unbounded report")
		}
	})
}

// seal makes the checksum of a one-block structure right, at the place its magic
// says it is.
func seal(p []byte) {
	switch string(p[:4]) {
	case "EBOF": // superblock, label
		binary.LittleEndian.PutUint32(p[8:], layout.CRC(p[12:]))
	default:
		resealNode(p)
	}
}
