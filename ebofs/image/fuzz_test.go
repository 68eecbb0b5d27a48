package image

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"ebofs/devices"
	"ebofs/ebofs/layout"
)

// FuzzReader reads streams: as a file, and, so that mutations get past the
// compression, as what is compressed. What can be read can be written again.
func FuzzReader(f *testing.F) {
	dev := newMem(64 << 20)
	sample(f, dev, nil, true)
	file, _ := save(f, dev, nil, SaveOptions{Seed: [32]byte{1}})
	f.Add(file[:2000], false)
	f.Add(file[:imageHeader], false)
	small := append((&Header{FSID: layout.UUID{1}}).encode(), entries(f,
		Entry{Kind: Device, Block: 20000}, Entry{Kind: Blocks, Block: 3, Blocks: 1, Data: make([]byte, 4096)},
		Entry{Kind: Zeros, Block: 5, Blocks: 1000}, Entry{Kind: Withheld, Block: 7, Blocks: 2}, Entry{Kind: End, Block: 4})...)
	f.Add(small, true)
	f.Add(small[:len(small)-30], true)
	f.Fuzz(func(t *testing.T, p []byte, compress bool) {
		if compress && len(p) > imageHeader {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(windowBytes))
			if err != nil {
				t.Fatal(err)
			}
			p = z.EncodeAll(p[imageHeader:], bytes.Clone(p[:imageHeader]))
		}
		r, err := NewReader(bytes.NewReader(p))
		if err != nil {
			if !errors.Is(err, ErrNoImage) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, layout.ErrNewer) {
				t.Fatal(err)
			}
			return
		}
		defer r.Close()
		for n := 0; ; n++ {
			e, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				if !errors.Is(err, ErrCorrupt) {
					t.Fatal(err)
				}
				return
			}
			if e.Kind == Blocks && len(e.Data) != int(e.Blocks)*layout.BlockSize {
				t.Fatalf("%d bytes in an entry of %d blocks", len(e.Data), e.Blocks)
			}
			if n > 1000 {
				return
			}
		}
		if size := r.sizes[0]; size > 0 && size <= 20000 {
			to := devices.NewMem(devices.MemOptions{Blocks: size})
			if err := Restore(bg, bytes.NewReader(p), map[uint8]Target{0: {Device: to}}); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// entries encodes entries with their checksums.
func entries(t testing.TB, es ...Entry) (p []byte) {
	t.Helper()
	for i := range es {
		var h [entryHeader]byte
		es[i].header(h[:])
		p = append(append(p, h[:]...), es[i].Data...)
	}
	return p
}

// TestBomb: what a few bytes unfold to is bounded.
func TestBomb(t *testing.T) {
	h := (&Header{FSID: layout.UUID{1}}).encode()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	many := entries(t, Entry{Kind: Device, Block: 1 << 40})
	one := entries(t, Entry{Kind: Blocks, Block: 3, Blocks: MaxEntryBlocks, Data: make([]byte, MaxEntryBlocks*layout.BlockSize)})
	for range 64 {
		many = append(many, one...)
	}
	p := z.EncodeAll(many, h)
	if len(p) > 64<<10 {
		t.Fatalf("%d bytes", len(p))
	}
	if _, err := Verify(bg, bytes.NewReader(p)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("without an end: %v", err)
	}
	wide, err := zstd.NewWriter(nil, zstd.WithWindowSize(64<<20))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Verify(bg, bytes.NewReader(wide.EncodeAll(many, h))); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a wide window: %v", err)
	}
}
