package wal

import (
	"unsafe"

	"ebofs/devices"
)

// batch is one batch from its first record until it is committed. While it is
// open its fields are guarded by Log.mu, afterwards they belong to the leader.
// Batches and their memory are reused.
type batch struct {
	buf  []byte // aligned memory, whole blocks
	used int    // bytes used, header included

	vpos   uint64 // virtual block, see Log.mu.vend
	seq    uint64
	filler bool

	records   int    // that end here
	payload   int    // bytes of frames' contents
	first     uint64 // txid of the first record that ends here, in order of Append
	last      uint64 // txid of the last
	low, high uint64 // over all frames
	lastLSN   LSN    // highest record that ends here or before
	dataFlush bool   // a record needs Config.DataFlush
	beside    []Beside

	done chan struct{} // made by the first follower, closed when the batch is decided
}

// reset makes b an open batch without records, keeping its memory.
func (b *batch) reset(vpos, seq uint64) {
	*b = batch{buf: b.buf, beside: b.beside[:0], used: headerBytes, vpos: vpos, seq: seq}
}

func (b *batch) blocks() uint64 { return blocksOf(b.used) }

// minBuf is the first size of a batch's memory: 15 writes of 4 KiB, so that
// small stores and quiet ones stay small.
const minBuf = 64 << 10

// ensure makes room for n bytes in all, at most limit.
func (b *batch) ensure(n, limit int) {
	if n <= len(b.buf) {
		return
	}
	size := max(len(b.buf), min(minBuf, limit))
	for size < n {
		size = min(2*size, limit)
	}
	p := alignedBytes(size)
	copy(p, b.buf)
	b.buf = p
}

// put adds a frame with length bytes taken from src.
func (b *batch) put(f frame, src *parts) {
	if b.used == headerBytes {
		b.low, b.high = f.txid, f.txid
	}
	f.put(b.buf[b.used:])
	b.used += frameBytes
	src.copyTo(b.buf[b.used : b.used+int(f.length)])
	b.used += int(f.length)
	b.payload += int(f.length)
	b.low, b.high = min(b.low, f.txid), max(b.high, f.txid)
	if f.typ == frameWhole || f.typ == frameLast {
		if b.records == 0 {
			b.first = f.txid
		}
		b.last = f.txid
		b.records++
	}
	if f.flags&NeedsDataFlush != 0 {
		b.dataFlush = true
	}
}

// bytes returns the blocks to write, padding zeroed.
func (b *batch) bytes() []byte {
	p := b.buf[:b.blocks()*devices.BlockSize]
	clear(p[b.used:])
	return p
}

// parts is a cursor over the pieces of one record.
type parts struct {
	pieces [][]byte
	off    int // in the first piece
}

// copyTo fills p from the cursor onward.
func (s *parts) copyTo(p []byte) {
	for len(p) > 0 {
		n := copy(p, s.pieces[0][s.off:])
		p = p[n:]
		if s.off += n; s.off == len(s.pieces[0]) {
			s.pieces, s.off = s.pieces[1:], 0
		}
	}
}

// alignedBytes returns n bytes that start at a multiple of the block size.
func alignedBytes(n int) []byte {
	p := make([]byte, n+devices.BlockSize-1)
	skip := int(-uintptr(unsafe.Pointer(unsafe.SliceData(p))) & (devices.BlockSize - 1))
	return p[skip : skip+n : skip+n]
}
