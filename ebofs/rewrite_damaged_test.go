package ebofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"testing"

	"ebofs/devices"
)

// TestRewriteDamaged: an object whose blocks are damaged is whole again once all its
// bytes are written, though the last block is not full; a write of a part marks the
// block, and what it held beside is not made up.
func TestRewriteDamaged(t *testing.T) {
	for _, size := range []int{6200, 8192, 4097, 70000} {
		for _, part := range []bool{false, true} {
			t.Run(fmt.Sprint(size, part), func(t *testing.T) {
				dev := newMem(64)
				s := newStore(t, dev, FormatOptions{}, Options{Inline: true})
				id := oid("o")
				old, data := bytes.Repeat([]byte("old data"), size/8+1)[:size], bytes.Repeat([]byte("new!"), size/4+1)[:size]
				write := func(off int, p []byte) {
					t.Helper()
					x := NewTxn()
					x.Write(mainColl, id, uint64(off), p)
					if err := s.Apply(bg, x); err != nil {
						t.Fatal(err)
					}
				}
				write(0, old)
				closeStore(t, s)
				spoil(t, dev, old[:blockSize/2], 100) // every block of the object
				spoil(t, dev, old[blockSize:min(size, blockSize+8)], 3)

				s, err := Open(bg, dev, Options{Inline: true, MemoryBytes: minMemory})
				if err != nil {
					t.Fatal(err)
				}
				if part {
					write(0, data[:size-1])
				} else {
					write(0, data)
				}
				closeStore(t, s)
				if s, err = Open(bg, dev, Options{Inline: true, MemoryBytes: minMemory}); err != nil {
					t.Fatal(err)
				}
				p := make([]byte, size)
				n, err := s.Read(bg, mainColl, id, 0, p)
				if part {
					if !errors.Is(err, ErrCorrupt) {
						t.Errorf("part of a damaged block was written: %v", err)
					}
				} else if err != nil || !bytes.Equal(p[:n], data) {
					t.Errorf("%d bytes, %v", n, err)
				}
				closeStore(t, s)
			})
		}
	}
}

// spoil changes a byte of every block that begins with what.
func spoil(t *testing.T, dev *devices.Mem, what []byte, at int) {
	t.Helper()
	p := make([]byte, blockSize)
	found := 0
	for b := range dev.Geometry().Blocks {
		if err := dev.Read(context.Background(), devices.Block(b), devices.Vec{p}); err != nil {
			t.Fatal(err)
		}
		if bytes.HasPrefix(p, what) {
			p[at] ^= 1
			found++
			if err := dev.Write(context.Background(), devices.Block(b), devices.Vec{p}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if found == 0 {
		t.Fatal("nothing found to spoil")
	}
}
