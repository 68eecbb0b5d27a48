package image

import (
	"testing"

	"ebofs/btree"
	"ebofs/ebofs/layout"
)

// TestSums: the checksums of data that a dense onode has are as secret as those of a
// chunk.
func TestSums(t *testing.T) {
	var c layout.Chunk
	for i := range 3 {
		c.Addr[i], c.CRC[i] = layout.MakeAddr(0, 7000+uint64(i)), 0x1234567*uint32(i+1)
	}
	chunk, err := c.Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	on := layout.Onode{ID: 7, Size: 3 * layout.BlockSize, Extents: btree.Root{Kind: btree.RootInline, Inline: append(btree.AppendSole(nil, 0), chunk...), Count: 1, Bytes: uint64(8 + len(chunk))}}
	val, err := on.Append(nil)
	if err != nil || len(val) > 40 {
		t.Fatalf("%v, %d bytes: not a dense one", err, len(val))
	}
	new(saver).value(nil, val)
	got, err := layout.DecodeOnode(val)
	if err != nil {
		t.Fatal(err)
	}
	_, p, ok := got.Extents.Sole()
	if !ok || got.Size != on.Size {
		t.Fatalf("%+v", got)
	}
	blocks := 0
	err = layout.ChunkRuns(p, func(r *layout.Run) bool {
		for i := range r.Blocks {
			if blocks++; r.CRC(i) != zeroBlockCRC {
				t.Errorf("block %d has checksum %08x", i, r.CRC(i))
			}
		}
		return true
	})
	if err != nil || blocks != 3 {
		t.Errorf("%d blocks, %v", blocks, err)
	}
}
