// Package devices is what the engine knows of disks: arrays of 4 KiB blocks
// with one durability barrier. It opens block devices and image files, finds
// out what their stripes are, hands out memory fit for direct I/O, and has I/O
// nobody waits for stand back. It does not cache, checksum or allocate, and it
// knows no format.
//
// # Nouns
//
//	Device    the contract: Read, Write, Flush on whole blocks
//	File      a block device or an image file, past the page cache
//	Scheduler a device that knows what I/O is for: its Class
//	Mem       a sparse device in memory, the reference for the contract
//	Geometry  what a device says of its sectors, stripes and abilities
//	Pool      aligned, counted memory; a Frame is one piece of it
//
//	engine ── Vec of frames ──► Device ──► preadv, pwritev, fdatasync
//	              ▲                │  └──► ring, where many call at once
//	            Pool           Geometry ◄── sysfs, ioctl, overrides
//
// Wrappers and doubles have their own packages: crashdev (every state a crash
// can leave), faultdev (failures by script), stripecheck (partial-stripe
// writes), and devicetest, the suite all of them pass.
//
// # Invariants
//
//	I1  No I/O leaves the device's bounds, and no I/O is shorter than asked:
//	    it is whole or it is an error.
//	I2  Once a Flush has failed, no later Flush of that open device succeeds
//	    and no later write is accepted.
//	I3  A writable File holds its device alone: O_EXCL and flock on a block
//	    device, an open file description lock on an image.
//	I4  A frame is handed out by one Get at a time, and its memory is not
//	    touched by the pool between Get and the last Release.
//	I5  No two writes in flight overlap. The engine keeps this; Mem checks it.
//
// # Locks and goroutines
//
// A File has up to one goroutine that takes the results of its ring
// (internal/aio), made when that is first of use, and workers that make blocking
// calls for Submit where there is no ring, and what a ring leaves; Close waits for what is in flight and then
// for both. Calls in flight are counted by a gate, not by a lock: Done may submit again
// while Close waits. A Pool has a goroutine at times, one, that waits for memory; Close
// waits for it. Everything else starts none. Pool: shard.mu before
// Pool.mu; neither, nor ring.mu, workers.mu or limiter.mu, is held across I/O.
//
// # Durability
//
// A write is durable once a Flush that began after the write returned has
// itself returned without error. At a crash each other write is, on its own,
// kept, lost, or torn at a multiple of Geometry.TearBytes. Mem loses nothing;
// crashdev yields what could have been lost. A new image is durable with its
// name when OpenFile returns.
//
// # Stripes
//
// Geometry is taken, first match first, from: overrides; the level of an md
// array at or below the device; an NVMe write granularity above a block; a
// physical block above ours; a minimum I/O size that is a part of the optimal
// one (these are hard: partial stripes cost a read-modify-write); the optimal
// I/O size; the boundary I/O should not cross; 64 KiB. The offset of a
// partition and the disk's own alignment decide where the first stripe begins.
//
// This package runs on Linux. Formats: none.
package devices
