package ebofs

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"ebofs/devices"
)

// TestLongRead reads more at once than one piece holds, into memory that can be
// read into directly and into memory that cannot; then again with one block
// damaged, which fails whatever holds that block and nothing else.
func TestLongRead(t *testing.T) {
	for name, o := range map[string]Options{"pieces side by side": quiet(), "no detours": quiet(), "inline": {Inline: true}} {
		t.Run(name, func(t *testing.T) {
			mem := newMem(64)
			s := newStore(t, mem, FormatOptions{StripeBytes: 256 << 10}, o)
			want := make([]byte, 5*readPiece+1000)
			rng := rand.New(rand.NewPCG(5, 1))
			for i := range want {
				want[i] = byte(rng.Uint32())
			}
			apply(t, s, func(x *Txn) { x.Write(mainColl, oid("long"), 0, want) })
			closeStore(t, s)

			s = open(t, mem, o)
			if name == "no detours" {
				s.detours.most = 0
			}
			pool := devices.NewPool(devices.PoolOptions{})
			defer pool.Close()
			f := pool.Get(len(want) + 2*blockSize)
			defer f.Release()
			for _, at := range []int{0, 7} { // aligned and not
				for _, off := range []int{0, blockSize, 1234} {
					p := f.Bytes()[at:][:len(want)]
					if n, err := s.Read(bg, mainColl, oid("long"), uint64(off), p); err != nil || !bytes.Equal(p[:n], want[off:]) {
						t.Errorf("at byte %d, into memory at %d: %d bytes, %v", off, at, n, err)
					}
				}
			}
			if n, made := s.detours.now.Load(), s.detours.made.Load(); n != 0 || (made > 0) != (s.detours.most > 0) {
				t.Errorf("%d bytes of %d detours under way", n, made)
			}
			closeStore(t, s)

			var data []place
			for _, p := range anatomy(t, mem) {
				if p.kind == "data" {
					data = append(data, p)
				}
			}
			hurt := len(data) / 2 // 16 blocks from one place to the next
			damage(t, mem, data[hurt].block, 1, func(p []byte) { p[100] ^= 4 })
			s = open(t, mem, o)
			p := make([]byte, len(want))
			if _, err := s.Read(bg, mainColl, oid("long"), 0, p); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "long") {
				t.Errorf("a read across a damaged block: %v", err)
			}
			bad := uint64(hurt) * 16 * blockSize
			for _, r := range [][2]uint64{{0, bad}, {bad + blockSize, uint64(len(want))}} {
				p := p[:r[1]-r[0]]
				if n, err := s.Read(bg, mainColl, oid("long"), r[0], p); err != nil || n != len(p) || !bytes.Equal(p, want[r[0]:r[1]]) {
					t.Errorf("bytes %d to %d, beside the damaged block: %d bytes, %v", r[0], r[1], n, err)
				}
			}
			closeStore(t, s)
		})
	}
}

// TestShortReadsStay reads 16 KiB twice, into memory that can be read into directly
// and into memory that cannot: the second time they are in RAM.
func TestShortReadsStay(t *testing.T) {
	for at := range 2 {
		mem := newMem(64)
		s := newStore(t, mem, FormatOptions{}, quiet())
		want := bytes.Repeat([]byte("stays so"), 2<<10)
		apply(t, s, func(x *Txn) { x.Write(mainColl, oid("short"), 0, want) })
		closeStore(t, s)
		s = open(t, mem, quiet())
		pool := devices.NewPool(devices.PoolOptions{})
		f := pool.Get(len(want) + blockSize)
		p := f.Bytes()[at:][:len(want)]
		for range 3 {
			clear(p)
			if n, err := s.Read(bg, mainColl, oid("short"), 0, p); err != nil || !bytes.Equal(p[:n], want) {
				t.Errorf("into memory at %d: %d bytes, %v", at, n, err)
			}
		}
		if n := s.Metrics().ReadBytes; n != int64(len(want)) {
			t.Errorf("into memory at %d: read %d bytes of %d", at, n, len(want))
		}
		closeStore(t, s)
		f.Release()
		pool.Close()
	}
}
