package layout

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC returns the CRC-32C of p, the checksum of everything in the format.
func CRC(p []byte) uint32 { return crc32.Checksum(p, castagnoli) }

// ColdCRC is CRC of a block that is likely in memory only, not in a cache: what a
// device has just read, or a caller's large write. The library takes such a block
// in three strands, which keeps the processor from fetching ahead; so a byte of each
// cache line is read first, in order.
func ColdCRC(p []byte) uint32 {
	fetch(p)
	return CRC(p)
}

// fetch brings p near the processor. It is not inlined, or it would be left out.
//
//go:noinline
func fetch(p []byte) (all byte) {
	const line = 64
	for i := 0; i < len(p); i += line {
		all |= p[i]
	}
	return all
}
