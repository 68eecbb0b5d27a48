// Package mutate makes damaged stores for fuzz targets, out of few bytes and so that
// the damage gets past the checksums, and looks whether what was done with them kept
// to its limits.
//
// Nouns: a place is a structure of a store: its blocks, where its checksum is and
// what it sums up, and where other places hold copies of that checksum. A mutation
// changes up to three bytes of a place and, if it says so, makes its checksum right,
// then those of the places that hold copies, up to the superblocks. A Store is one
// of those mutations are made of; a Limit is what a use of it may cost.
//
//	input   one byte: which store (bit 0); which command of a tool
//	        mutations of 8 bytes, at most 12:
//	          class u8 | place u8 | offset u16 | how u8 | 3 bytes
//	          how: 1 make checksums right · 6 number of bytes less one (3 is 1)
//	               8 xor instead of set
//
// Invariants, the targets':
//
//	M1  Nothing panics. Every error is one, whatever the device holds.
//	M2  A use takes at most MaxCPU of CPU time, and does not stand still.
//	M3  It allocates at most as much as the same use of the store unharmed, and 16
//	    times what the store has on its device, and 1 MiB. The sum of allocations is
//	    measured, which bounds what is held at any time. I/O buffers are outside
//	    the heap, and not counted.
//
// The package is tests and their machinery only; formats are in docs/format.
package mutate
