package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"math"

	"ebofs/devices"
	"ebofs/internal/planted"
)

const (
	headerBytes = 64 // of a batch
	frameBytes  = 16 // of a record or a part of one

	formatVersion = 1

	typeBatch  = 1
	typeFiller = 2

	frameWhole  = 1 // a whole record
	frameFirst  = 2 // first part of a long record
	frameMiddle = 3
	frameLast   = 4
)

var (
	magic      = [4]byte{'E', 'W', 'A', 'L'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// header begins every batch.
//
//	off len field     little-endian; golden: testdata/golden.txt
//	  0   4 magic     "EWAL"
//	  4   4 crc       CRC-32C of the batch from byte 8 to the end of its last block
//	  8   1 type      1 batch, 2 filler
//	  9   1 version   1
//	 10   1 minreader lowest version a reader must know
//	 11   1 ring      number of the ring
//	 12   4 bytes     used, header included; the rest of the last block is zero
//	 16   8 fsid      first 8 bytes of the store's
//	 24   8 incarnation
//	 32   8 seq       never 0
//	 40   4 prev      crc of batch seq-1
//	 44   4 behind    seq - horizon, at least 1
//	 48   4 back      seq - seq of the tail
//	 52   4 span      highest - lowest txid, 2^32-1 if it is larger
//	 56   8 txid      lowest txid of a frame in this batch, 0 without any
type header struct {
	crc         uint32
	typ         uint8
	minReader   uint8
	ring        uint8
	bytes       uint32
	fsid        uint64
	incarnation uint64
	seq         uint64
	prev        uint32
	behind      uint32
	back        uint32
	span        uint32
	txid        uint64
}

func (h *header) blocks() uint64  { return blocksOf(int(h.bytes)) }
func (h *header) horizon() uint64 { return h.seq - uint64(h.behind) }

// blocksOf returns the number of blocks that hold n bytes.
func blocksOf(n int) uint64 {
	return (uint64(n) + devices.BlockSize - 1) / devices.BlockSize
}

// seal writes h and the checksum into p, a whole batch whose records and zero
// padding are in place, and returns the checksum.
func (h *header) seal(p []byte) uint32 {
	le := binary.LittleEndian
	copy(p, magic[:])
	p[8], p[9], p[10], p[11] = h.typ, formatVersion, h.minReader, h.ring
	le.PutUint32(p[12:], h.bytes)
	le.PutUint64(p[16:], h.fsid)
	le.PutUint64(p[24:], h.incarnation)
	le.PutUint64(p[32:], h.seq)
	le.PutUint32(p[40:], h.prev)
	le.PutUint32(p[44:], h.behind)
	le.PutUint32(p[48:], h.back)
	le.PutUint32(p[52:], h.span)
	le.PutUint64(p[56:], h.txid)
	h.crc = crc32.Checksum(p[8:], castagnoli)
	le.PutUint32(p[4:], h.crc)
	return h.crc
}

// decodeHeader reads the header of a batch whose first block is p. It checks
// what does not need the rest: a header it returns has a sane length.
func decodeHeader(p []byte) (h header, err error) {
	if len(p) < headerBytes || [4]byte(p) != magic {
		return h, fmt.Errorf("no batch header")
	}
	le := binary.LittleEndian
	h = header{
		crc: le.Uint32(p[4:]), typ: p[8], minReader: p[10], ring: p[11],
		bytes: le.Uint32(p[12:]), fsid: le.Uint64(p[16:]), incarnation: le.Uint64(p[24:]),
		seq: le.Uint64(p[32:]), prev: le.Uint32(p[40:]), behind: le.Uint32(p[44:]),
		back: le.Uint32(p[48:]), span: le.Uint32(p[52:]), txid: le.Uint64(p[56:]),
	}
	if h.bytes < headerBytes || h.bytes > MaxBatch {
		return h, fmt.Errorf("batch length %d, want %d..%d", h.bytes, headerBytes, MaxBatch)
	}
	return h, nil
}

// checkSum compares the checksum of p, all blocks of the batch, with h's.
func (h *header) checkSum(p []byte) error {
	if got := crc32.Checksum(p[8:], castagnoli); got != h.crc && !planted.On(planted.LogChain) {
		return fmt.Errorf("batch crc %08x, want %08x", got, h.crc)
	}
	return nil
}

// checkSense looks at fields that a right checksum does not make sensible.
func (h *header) checkSense() error {
	switch {
	case h.typ != typeBatch && h.typ != typeFiller:
		return fmt.Errorf("batch type %d, want %d or %d", h.typ, typeBatch, typeFiller)
	case h.typ == typeFiller && h.bytes != headerBytes:
		return fmt.Errorf("filler of %d bytes, want %d", h.bytes, headerBytes)
	case h.behind == 0 || uint64(h.behind) > h.seq:
		return fmt.Errorf("horizon %d behind batch %d, want 1..%d", h.behind, h.seq, h.seq)
	}
	return nil
}

// frame precedes the bytes of a record or of a part of one.
//
//	off len field     little-endian
//	  0   4 length    of the bytes that follow
//	  4   1 type      1 whole record, 2 first, 3 middle, 4 last part
//	  5   1 version   of the framing, 1
//	  6   2 flags     of the caller, the same in all parts
//	  8   8 txid      the same in all parts
type frame struct {
	length uint32
	typ    uint8
	flags  uint16
	txid   uint64
}

func (f frame) put(p []byte) {
	le := binary.LittleEndian
	le.PutUint32(p, f.length)
	p[4], p[5] = f.typ, formatVersion
	le.PutUint16(p[6:], f.flags)
	le.PutUint64(p[8:], f.txid)
}

// decodeFrame splits the first frame and its bytes off p.
func decodeFrame(p []byte) (f frame, data, rest []byte, err error) {
	if len(p) < frameBytes {
		return f, nil, nil, fmt.Errorf("%d bytes left, want a frame of %d", len(p), frameBytes)
	}
	le := binary.LittleEndian
	f = frame{length: le.Uint32(p), typ: p[4], flags: le.Uint16(p[6:]), txid: le.Uint64(p[8:])}
	switch rest = p[frameBytes:]; {
	case f.typ < frameWhole || f.typ > frameLast:
		return f, nil, nil, fmt.Errorf("frame type %d, want %d..%d", f.typ, frameWhole, frameLast)
	case p[5] != formatVersion:
		return f, nil, nil, fmt.Errorf("frame version %d, want %d", p[5], formatVersion)
	case uint64(f.length) > uint64(len(rest)) && !planted.On(planted.LogLength):
		return f, nil, nil, fmt.Errorf("frame of %d bytes, only %d left", f.length, len(rest))
	}
	return f, rest[:f.length:f.length], rest[f.length:], nil
}

// saturate32 stores a difference that is told for information only.
func saturate32(n uint64) uint32 { return uint32(min(n, math.MaxUint32)) }
