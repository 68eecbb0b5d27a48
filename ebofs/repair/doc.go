// Package repair makes a damaged store whole again, as far as the device still
// knows how. What it cannot bring back it marks, so that nothing old, empty or
// somebody else's is taken for it. Package check says what is wrong; repair looks
// for itself and does not depend on that.
//
//	device ─ find superblock ─ labels ─ replay of the log ─┐
//	   └── none: salvage ──────────────────────────────────┤
//	                                                       ▼
//	     survey of all trees ── scan for leaves of lost inner nodes
//	                                                       ▼
//	     new nodes in free blocks ── recount ── bitmaps, zone table, root record
//	                                                       ▼
//	                                              flush, superblocks, flush
//
// Nouns: a hole is a subtree that cannot be used; a fix what has to be done about
// one tree or object; a placeholder a block that stands for a lost one and carries
// its mark; an Action is something done, told to the operator.
//
// Invariants:
//
//	R1  No block that the store as found may need is overwritten before the
//	    superblock that leads to the repaired one: not one that a tree reaches, not
//	    one that a log record names, and, while there are others, not one that a
//	    readable bitmap calls used. An interrupted repair leaves the old state or
//	    the new, and can be run again.
//	R2  Bytes are believed if their own checks and those of their parent hold. What
//	    was found by a scan is believed if it adds up to what the lost parent said
//	    of it; otherwise the objects in it are marked.
//	R3  A mark that says changes were lost (given-up.md) is never turned into
//	    belief: what it covers is marked in a way that is contained and can be
//	    removed or overwritten.
//	R4  The repaired trees are walked once more, and what cannot be walked is not
//	    written: recount before superblock.
//	R5  A record of an extents tree is believed before any count of who shares its
//	    blocks. Blocks are shared by records that all say so; else they have two
//	    owners, and the second gets a copy (refs.go).
//	R6  Under an Undo no block changes whose old content is not durable in its file.
//
// Memory: three bits for each block of the device, five if blocks are shared, and
// then up to 350 bytes for each of Options.RefGroups; a few hundred bytes for each
// thing that is damaged, and, for a tree of the root record, about 150 bytes a leaf.
//
// Run starts no goroutine. The devices belong to the caller and must not be written
// by others.
package repair
