// Package sizes reads and prints amounts of bytes as people write them.
//
// Reading accepts a plain number of bytes, binary suffixes (k, K, KiB, M, MiB
// … P, PiB, all powers of 1024), decimal suffixes (kB, KB, MB, GB, TB, PB, powers of
// 1000), a fraction ("1.5TB") and, where the caller allows it, a percentage
// of something ("10%").
//
// Printing is binary with one decimal ("3.4 GiB"); Decimal prints a disk's
// size as it is sold ("16.0 TB").
package sizes
