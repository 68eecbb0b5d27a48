// Package datacache keeps blocks of object data in RAM, by where they lie on
// the devices. It is not a cache of objects, holds no metadata and never holds
// anything the devices do not.
//
// Nouns. A block is devices.BlockSize bytes that were read from a device and
// passed their checksum. It is kept under its address and that CRC-32C, so
// that clones share it and a block written anew at the address does not hit.
// A shard has its own lock and keeps the groups of 16 neighbouring addresses
// that hash to it. A slot is room for one block; slots are cut from chunks,
// frames of 256 KiB from the pool of the engine, taken as the cache grows.
//
//	address --hash--> shard --hash--> bucket -> slot -> slot
//	                                  slot i = chunk i/64, block i%64
//
// Slots are chosen for eviction by CLOCK: a hand goes round; a block that was
// hit since the hand passed stays, any other goes. New blocks count as not hit,
// and a full cache takes none that did not come before. A block that was read
// ahead of its reader is spared until it is asked for, or once, not afterwards.
// docs/decisions/data-cache.md says why this and not another cache.
//
// Invariants:
//
//	I1  What Get fills in is what Put was given for that address and CRC.
//	I2  An address is in at most one slot.
//	I3  Frames in use never exceed the budget.
//	I4  After Drop returned, no block put before it hits.
//
// Locks: each shard has one mutex, held for the copy of one block at most;
// none is taken while another is held. There are no goroutines. Nothing is
// durable, and a crash leaves nothing.
package datacache
