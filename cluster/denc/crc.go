package denc

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CRC is CRC-32C of p going on from seed, without the inversions that the
// standard library makes before and after: Ceph's convention everywhere.
func CRC(seed uint32, p []byte) uint32 {
	return ^crc32.Update(^seed, castagnoli, p)
}
