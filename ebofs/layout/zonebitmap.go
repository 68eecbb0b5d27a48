package layout

import (
	"fmt"
	"math/bits"
)

// maxBitmapBlocks is the size of the largest encoded zone bitmap.
const maxBitmapBlocks = (HeaderBytes+zoneBitmapFixed+MaxZoneBlocks/8)/BlockSize + 1

const zoneBitmapFixed = 16

// The forms of a zone bitmap.
const (
	bitmapRaw  = 0 // one bit a block, little-endian words
	bitmapRuns = 1 // runs of used blocks: {start u32, length u32}, ascending, not touching
)

// ZoneBitmap says which blocks of a zone are used (1). It is written in the shorter
// of two forms; a zone without a bitmap is all free.
//
//	off len field
//	  0  64 Header, kind 3
//	 64   4 zone
//	 68   4 blocks     of the zone: bits that count
//	 72   1 form       0 bits, 1 runs
//	 73   3 reserved, zero
//	 76   4 count      bytes of bits, or number of runs
//	 80     bits, or count × {start u32, length u32}
type ZoneBitmap struct {
	Zone   uint32
	Blocks uint32
	Bits   []uint64 // bit i of word i/64; bits at and beyond Blocks are zero
}

// Used returns the number of used blocks.
func (b *ZoneBitmap) Used() uint32 {
	n := 0
	for _, w := range b.Bits {
		n += bits.OnesCount64(w)
	}
	return uint32(n)
}

func (b *ZoneBitmap) check() error {
	if b.Blocks == 0 || b.Blocks > MaxZoneBlocks || b.Zone >= MaxZones {
		return malformed("zone bitmap", "zone, blocks", fmt.Sprint(b.Zone, ", ", b.Blocks), nil)
	}
	if len(b.Bits) != int(b.Blocks+63)/64 {
		return malformed("zone bitmap", "words", len(b.Bits), (b.Blocks+63)/64)
	}
	if r := b.Blocks % 64; r != 0 && b.Bits[len(b.Bits)-1]>>r != 0 {
		return malformed("zone bitmap", "bits beyond the zone", "set", "clear")
	}
	return nil
}

// Runs calls fn for every maximal run of used blocks, ascending.
func (b *ZoneBitmap) Runs(fn func(start, n uint32)) {
	start, in := uint32(0), false
	for i, w := range b.Bits {
		switch {
		case w == 0 && !in, w == ^uint64(0) && in:
			continue
		}
		base := uint32(i) * 64
		for at := 0; at < 64; {
			x := w >> at
			if in {
				x = ^x
			}
			n := bits.TrailingZeros64(x)
			if at+n >= 64 {
				break
			}
			at += n
			if in {
				fn(start, base+uint32(at)-start)
			} else {
				start = base + uint32(at)
			}
			in = !in
		}
	}
	if in {
		fn(start, b.Blocks-start)
	}
}

// rawBytes returns the size of the plain form's bits.
func (b *ZoneBitmap) rawBytes() int { return 8 * len(b.Bits) }

// countRuns returns the number of runs.
func (b *ZoneBitmap) countRuns() int {
	n, last := 0, uint64(0)
	for _, w := range b.Bits {
		n += bits.OnesCount64(w &^ (w<<1 | last)) // a set bit behind a clear one starts a run
		last = w >> 63
	}
	return n
}

// form returns the shorter form and the whole encoded size. Runs have to save a
// block to be worth it.
func (b *ZoneBitmap) form() (form uint8, size int) {
	raw := HeaderBytes + zoneBitmapFixed + b.rawBytes()
	runs := HeaderBytes + zoneBitmapFixed + 8*b.countRuns()
	if blocksFor(runs) < blocksFor(raw) {
		return bitmapRuns, runs
	}
	return bitmapRaw, raw
}

// EncodedBlocks returns how many blocks Encode needs.
func (b *ZoneBitmap) EncodedBlocks() int {
	_, n := b.form()
	return blocksFor(n)
}

// Encode fills p, whole blocks and at least EncodedBlocks() of them, and returns
// the pointer for the zone table.
func (b *ZoneBitmap) Encode(p []byte, self Self) (Ref, error) {
	if err := b.check(); err != nil {
		return Ref{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	form, size := b.form()
	if err := frame(p, KindZoneBitmap, size, self); err != nil {
		return Ref{}, err
	}
	q := p[HeaderBytes:]
	clear(q[:zoneBitmapFixed])
	le.PutUint32(q, b.Zone)
	le.PutUint32(q[4:], b.Blocks)
	q[8] = form
	d := q[zoneBitmapFixed:]
	if form == bitmapRaw {
		le.PutUint32(q[12:], uint32(b.rawBytes()))
		for i, w := range b.Bits {
			le.PutUint64(d[8*i:], w)
		}
	} else {
		n := uint32(0)
		b.Runs(func(start, length uint32) {
			le.PutUint32(d[8*n:], start)
			le.PutUint32(d[8*n+4:], length)
			n++
		})
		le.PutUint32(q[12:], n)
	}
	return finish(p, KindZoneBitmap, size, self), nil
}

// DecodeZoneBitmap verifies p against its parent's pointer and decodes it. It
// allocates at most 512 KiB whatever p says.
func DecodeZoneBitmap(p []byte, fsid UUID, ref Ref) (*ZoneBitmap, error) {
	q, err := ref.Verify(p, KindZoneBitmap, fsid)
	if err != nil {
		return nil, err
	}
	const kind = "zone bitmap"
	if len(q) < zoneBitmapFixed {
		return nil, truncated(kind, "body", len(q), zoneBitmapFixed)
	}
	b := &ZoneBitmap{Zone: le.Uint32(q), Blocks: le.Uint32(q[4:])}
	if b.Blocks == 0 || b.Blocks > MaxZoneBlocks {
		return nil, malformed(kind, "blocks", b.Blocks, fmt.Sprintf("1..%d", MaxZoneBlocks))
	}
	form, count, d := q[8], le.Uint32(q[12:]), q[zoneBitmapFixed:]
	words := int(b.Blocks+63) / 64
	switch form {
	case bitmapRaw:
		if int64(count) != int64(8*words) || len(d) < 8*words {
			return nil, malformed(kind, "bytes", fmt.Sprint(count, ", ", len(d)), 8*words)
		}
		b.Bits = make([]uint64, words)
		for i := range b.Bits {
			b.Bits[i] = le.Uint64(d[8*i:])
		}
	case bitmapRuns:
		if uint64(len(d)) < 8*uint64(count) {
			return nil, truncated(kind, "runs", len(d), int(8*uint64(count)))
		}
		b.Bits = make([]uint64, words)
		end := uint64(0)
		for i := range int(count) {
			start, n := uint64(le.Uint32(d[8*i:])), uint64(le.Uint32(d[8*i+4:]))
			if n == 0 || start+n > uint64(b.Blocks) || i > 0 && start <= end {
				return nil, malformed(kind, fmt.Sprintf("run %d", i), fmt.Sprintf("%d~%d", start, n), fmt.Sprintf("ascending within %d", b.Blocks))
			}
			setBits(b.Bits, int(start), int(n))
			end = start + n
		}
	default:
		return nil, malformed(kind, "form", form, "0 or 1")
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

// setBits sets n bits from start.
func setBits(w []uint64, start, n int) {
	for n > 0 {
		i, at := start/64, start%64
		k := min(64-at, n)
		m := ^uint64(0)
		if k < 64 {
			m = 1<<k - 1
		}
		w[i] |= m << at
		start, n = start+k, n-k
	}
}
