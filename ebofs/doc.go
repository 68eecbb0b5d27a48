// Package ebofs is an object store on a raw block device: objects with data,
// attributes and an ordered key/value map, in collections, changed by atomic
// transactions. It is not a file system and knows nothing of a cluster.
//
// Nouns. A transaction (Txn) is applied, then committed. An onode is the home
// of one object key in RAM; its body is the object, an overlay of recent
// changes over a base. A collection is a range of object keys with a queue. An
// epoch is what one checkpoint makes durable; its cut is the last transaction
// in it. A strip holds small data on its way to fresh blocks beside the log. Limbo holds blocks freed but still reachable from a durable root. The
// stash is the reserve for full devices.
//
//	Txn ── queue ── apply ──▶ onode{pieces, edits, base} ── checkpoint ──▶ stripes, trees, root, superblock
//	  └─▶ strip       └─────▶ record ── log ── flush ──▶ committed
//	        └──────────────────────────▶ data ──┘
//
// Invariants:
//
//	I1  A block reachable from the newest durable superblock is not written.
//	I2  A freed block is reused only after the epoch that freed it is durable
//	    and every read that began before has ended; later than that if a pinned
//	    checkpoint may reach it (pin.go).
//	I3  The superblock of an epoch is written after a flush that covers
//	    everything it reaches.
//	I4  onCommit is called only after the record and the blocks it names are
//	    durable, in the order of each collection's queue.
//	I5  The log's tail passes a record only when an epoch with it is durable.
//	I6  Replay applies a record iff its transaction number is above the cut.
//	I7  An operation that needs space or an object's state is refused before
//	    anything has changed.
//	I8  At most two epochs hold unsaved changes: the open one and the one being
//	    checkpointed. A dirty onode is never evicted.
//	I9  A block mapped more than once is marked as shared in every record of a
//	    live object that maps it, and counted in the refs tree (clone.go, refs.go).
//
// Locks are ordered on Store. Goroutines: a writable store that is not Inline
// runs a checkpointer, the log's writer, a finisher for callbacks, a defragmenter
// if asked to, and up to maxLoads loads of cold objects; Close ends and waits for
// all of them. Checkpointer and defragmenter have a thread each (internal/thread).
//
// Durable: what Apply returned for, or onCommit was told nil for. A crash may
// keep later transactions too, each whole, in each collection a prefix of the
// order they were queued in.
//
// The format is described in docs/format and implemented in ebofs/layout,
// ebofs/wal and btree.
package ebofs
