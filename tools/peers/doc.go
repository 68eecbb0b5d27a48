// Command peers measures the engine beside what else keeps objects on a disk: the
// raw device, ext4 and XFS with a file per object, bbolt, Pebble and Badger. It is
// a module of its own, so that nothing of it is linked into the programs.
//
// Nouns. A peer is one of them (peer.go). A unit is one peer with values of one
// size in one round: a child process that formats the device, fills it with
// objects and measures its cells one after the other (unit.go). A cell is one
// operation at one depth. In each round every peer has its unit before any size
// comes next, and who begins changes from round to round.
//
//	round ─▶ size ─▶ peer: child in a mount namespace of its own
//	                   mkfs, mount, load ─▶ overwrite, put ─▶ reopen ─▶ get, scan
//
// Equal conditions: one loop device with direct I/O over one file all of whose
// blocks are written before each unit (loop.go); values of noise of one size, as
// many objects, the same keys; acknowledged means flushed; budget of the cache
// alike; what a peer still owes after its puts (checkpoint, compaction,
// write-back) is paid at once and counted in CPU, bytes and flushes of the cell,
// not in its rate. Bytes and flushes are the loop device's own counters, so that
// nobody counts for itself.
//
// Nothing is left behind, however a run ends: the file has no name, the loop
// device goes with the last process that has it open, and mounts with the child's
// namespace; the kernel kills the child if the parent dies.
package main
