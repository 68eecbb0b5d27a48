package btree

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
)

// BlobExtent is one run of data blocks of an overflow value.
type BlobExtent struct {
	Addr  uint64 // of the first block, as in Ptr
	Bytes uint32 // of the value in this run; the last block is padded
	CRC   uint32 // CRC-32C of those bytes
}

// MaxBlobExtents bounds what Sink.WriteBlob may return for one value: the list
// must fit a page.
const MaxBlobExtents = 2000

// An overflow descriptor stands in a leaf in place of the value:
//
//	off len field   little-endian
//	  0   1 version  1
//	  1   1 zero
//	  2   2 extents  n
//	  4   8 size     of the value, the sum of the runs
//	 12     n × {address 8, bytes 4, crc 4}
const (
	overflowVersion = 1
	overflowHeader  = 12
	extentBytes     = 16
)

func appendOverflow(dst []byte, ext []BlobExtent) []byte {
	var size uint64
	for _, e := range ext {
		size += uint64(e.Bytes)
	}
	dst = append(dst, overflowVersion, 0)
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(ext)))
	dst = binary.LittleEndian.AppendUint64(dst, size)
	for _, e := range ext {
		dst = binary.LittleEndian.AppendUint64(dst, e.Addr)
		dst = binary.LittleEndian.AppendUint32(dst, e.Bytes)
		dst = binary.LittleEndian.AppendUint32(dst, e.CRC)
	}
	return dst
}

// decodeOverflow checks b and returns the size of the value and the encoded runs.
func decodeOverflow(b []byte) (size uint64, runs []byte, err error) {
	if len(b) < overflowHeader || b[0] != overflowVersion || b[1] != 0 {
		return 0, nil, fmt.Errorf("overflow descriptor: %w", ErrCorrupt)
	}
	n := int(binary.LittleEndian.Uint16(b[2:]))
	size, runs = binary.LittleEndian.Uint64(b[4:]), b[overflowHeader:]
	if n == 0 || n > MaxBlobExtents || len(runs) != n*extentBytes {
		return 0, nil, fmt.Errorf("overflow descriptor of %d extents in %d bytes: %w", n, len(b), ErrCorrupt)
	}
	var sum uint64
	for i := 0; i < len(runs); i += extentBytes {
		if binary.LittleEndian.Uint64(runs[i:]) == 0 || binary.LittleEndian.Uint32(runs[i+8:]) == 0 {
			return 0, nil, fmt.Errorf("overflow extent %d is empty: %w", i/extentBytes, ErrCorrupt)
		}
		sum += uint64(binary.LittleEndian.Uint32(runs[i+8:]))
	}
	if sum != size || size > MaxValueBytes {
		return 0, nil, fmt.Errorf("overflow value of %d bytes in runs of %d: %w", size, sum, ErrCorrupt)
	}
	return size, runs, nil
}

// overflowSize is the size in a descriptor that has been checked.
func overflowSize(b []byte) uint64 { return binary.LittleEndian.Uint64(b[4:]) }

// overflowExtents decodes the runs of a descriptor that has been checked.
func overflowExtents(b []byte) []BlobExtent {
	runs := b[overflowHeader:]
	ext := make([]BlobExtent, 0, len(runs)/extentBytes)
	for ; len(runs) >= extentBytes; runs = runs[extentBytes:] {
		ext = append(ext, BlobExtent{
			Addr:  binary.LittleEndian.Uint64(runs),
			Bytes: binary.LittleEndian.Uint32(runs[8:]),
			CRC:   binary.LittleEndian.Uint32(runs[12:]),
		})
	}
	return ext
}

// appendBlob reads the value of descriptor b and appends it to dst.
func appendBlob(ctx context.Context, ld Loader, b, dst []byte) ([]byte, error) {
	n, size := len(dst), int(overflowSize(b))
	dst = slices.Grow(dst, size)[:n+size]
	if err := ld.ReadBlob(ctx, overflowExtents(b), dst[n:]); err != nil {
		return dst[:n], fmt.Errorf("overflow value: %w", err)
	}
	return dst, nil
}
