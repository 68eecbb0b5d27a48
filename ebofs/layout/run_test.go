package layout

import (
	"bytes"
	"math/rand/v2"
	"reflect"
	"testing"
)

// TestRunOnode: extents that are one chunk of one run are said in few bytes, all others
// as they are, and both come back as they were.
func TestRunOnode(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	short := 0
	for i := range 4000 {
		var c Chunk
		first, n := rng.IntN(ChunkBlocks), 1+rng.IntN(3)
		if i%8 == 0 {
			first, n = 0, ChunkBlocks
		}
		at, flags, runs := 5+rng.Uint64N(1<<(3+rng.IntN(40))), uint8(0), 1
		if rng.IntN(3) == 0 {
			flags = BlockShared
		}
		for b := first; b < min(first+n, ChunkBlocks); b++ {
			c.Addr[b], c.CRC[b], c.Flags[b] = MakeAddr(uint8(i%3), at+uint64(b)), rng.Uint32(), flags
		}
		if other := (first + n + 2) % ChunkBlocks; rng.IntN(4) == 0 && c.Addr[other].IsNone() {
			c.Addr[other], runs = MakeAddr(1, 3), 2
		}
		k := uint64(0)
		if rng.IntN(2) == 0 {
			k = rng.Uint64N(1 << 26)
		}
		o := &Onode{ID: 1 + rng.Uint64N(1<<40), Size: 1 << 20, Extents: soleChunk(t, k, &c)}
		p, err := o.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodeOnode(p)
		if err != nil || !reflect.DeepEqual(&got, o) {
			t.Fatalf("%v: %+v, want %+v", err, got, o)
		}
		if mapped := c.Mapped(); runs == 1 && len(p) > 3+6+3+1+3+5+3+9+4*mapped {
			t.Fatalf("%d bytes for one run of %d blocks", len(p), mapped)
		} else if runs == 1 {
			short++
		}
	}
	if short < 2000 {
		t.Fatalf("only %d of one run", short)
	}
}

// TestRunRefused: section 7 is checked as what it stands for is.
func TestRunRefused(t *testing.T) {
	good, err := testRunOnode(t).Append(nil)
	if err != nil {
		t.Fatal(err)
	}
	head := good[:len(good)-14]
	if head[len(head)-1] != 14 || head[len(head)-2] != secOnodeRun {
		t.Fatalf("section 7 is not where it was: %x", good)
	}
	head = head[:len(head)-2]
	for name, p := range map[string][]byte{
		"nothing":             {},
		"chunk not ended":     {0x80},
		"no address":          {0, 0, 1, 0},
		"address not ended":   {0, 0, 1, 0, 0x80},
		"no block":            {0, 0, 0, 0, 7},
		"beyond the chunk":    append([]byte{0, 63, 2, 0, 7}, make([]byte, 8)...),
		"an unknown flag":     {0, 0, 1, 8, 7, 1, 2, 3, 4},
		"a checksum too few":  {0, 0, 2, 0, 7, 1, 2, 3, 4},
		"a checksum too many": append([]byte{0, 0, 1, 0, 7}, make([]byte, 8)...),
		"no address at all":   {0, 0, 1, 0, 0, 1, 2, 3, 4},
	} {
		if _, err := DecodeOnode(appendSection(bytes.Clone(head), secOnodeRun, p)); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	both := appendRootSection(bytes.Clone(head), secOnodeExtents, &testOnode().Extents)
	if _, err := DecodeOnode(append(both, good[len(head):]...)); err == nil {
		t.Error("extents and a run: taken")
	}
}
