// Package allocator decides which blocks of one device are used. It is pure
// state: it reads no clock, starts no goroutine, draws no random number and
// does no I/O. It is not safe for concurrent use; the caller holds its lock.
//
// Nouns. An extent is a run of blocks, start~length, in device-absolute block
// numbers. The blocks between Config.First and Config.First+Config.Blocks are
// cut into equal zones, the last one perhaps shorter. A stripe is what the
// device likes to have written as a whole; stripe boundaries are AlignBlocks
// away from block 0 and repeat every StripeBlocks. A few blocks at the ends of
// the zones may lie outside every stripe: they are edges.
//
//	zone 0                          zone 1
//	|edge|stripe|stripe|..|edge    |edge|stripe|...
//	 used  free   limbo
//
// A block is free, used or in limbo. Limbo holds what was freed but may still
// be reached from a durable root: it is given out again only after the
// checkpoint that freed it is durable.
//
//	       Alloc, MarkUsed            Free(epoch)
//	free ------------------> used ------------------> limbo
//	  ^  <------------------       (unreachable from    |
//	  |        Release              epoch onward)       |
//	  +--------------------- Durable(epoch) ------------+
//
// A zone is loaded (its bitmap is in RAM) or not (only its ZoneSummary is,
// and what was freed or marked since). Operations that need a bitmap answer
// NeedZone; the caller reads it, calls Load and asks again. A zone without a
// used block never needs loading. What a zone costs: 16 bytes not loaded, and
// at 64 KiB stripes 66 KiB per GiB loaded, 98 KiB while it holds limbo.
//
// Invariants:
//
//	I1  A block that is used or in limbo is never given out.
//	I2  Free + limbo + used = Config.Blocks, and each equals a recount.
//	I3  On hard geometry data classes get whole free stripes only.
//	I4  An operation that fails changes nothing but where the next search
//	    starts.
//	I5  The free-stripe count of a zone that is not loaded is never above the
//	    truth; of a loaded zone it is the truth.
//	I6  A zone is evicted only if a durable bitmap says all that RAM does.
//
// Choice. Each class has a cursor: next fit within a zone, so that what is
// written together lies together. META keeps to the lowest-numbered zone with
// an eighth of it free; data classes open the zone with most free stripes that
// is no other class's. What is in no run as a whole gets the longest ones there
// are. On soft geometry long runs are left for large writes: those below 1 MiB
// go to the first place that holds them, folds to any run of a stripe's length
// once three quarters of the stripes are in use; and when fewer than 2 % of the
// stripes are free, data plugs holes, largest runs first.
//
// Nothing here is durable by itself. The formats of zone bitmaps and the zone
// table are in docs/format.
package allocator
