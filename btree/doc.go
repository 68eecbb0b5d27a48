// Package btree is ordered maps and sets of byte strings: copy-on-write pages
// on media below a sorted delta in RAM. It decides what a tree looks like; where
// pages come from (Loader) and go to (Sink) is the caller's.
//
//	Put, Delete, DeleteRange          Get, Iter, Cursor
//	        │                          │  newest first
//	        ▼                          ▼
//	   active delta  ──Freeze──▶  frozen delta  ──Reconcile──▶ new pages
//	                                                 │
//	   root ◀──────────────────Publish───────────────┘
//
// Nouns. A page (node) is a packed, immutable run of 1..16 blocks; leaves hold
// items, inner nodes children. A delta is a small in-RAM map of puts, deletions
// and cleared ranges. A Root describes a tree in at most 37 bytes, or holds all
// of a small one inline. An overflow value is one too long for a page; the page
// holds its extents. A Config is what all trees of one kind have in common.
//
// Invariants.
//
//	I1  A page is never changed. What changed since it was written is in a delta.
//	I2  A lookup takes the first layer that knows the key: active entries, active
//	    cleared ranges, frozen entries, frozen cleared ranges, pages.
//	I3  Cleared ranges of a delta are disjoint and do not touch; they mask what
//	    lies below the delta, never its own entries.
//	I4  Keys of a page lie within its fences, and its fences within the range its
//	    parent routes to it.
//	I5  A child's totals are those of its subtree; Root.Count and Root.Bytes are
//	    exact for the pages (not the deltas).
//	I6  Every node a Reconcile allocates is reachable from the root it returns;
//	    every node of the old root that is not is freed once.
//	I7  Pages hold at most MaxPageBytes; all offsets are checked when a page is
//	    parsed, so no damaged page can make a reader leave it.
//
// Locks. A Tree has one RWMutex over its deltas and its root pointer. It is
// held for the time of a map operation or of copying a batch of at most 64
// entries, never across I/O or a callback. Pages are read without it. A reader
// whose pages are given up by a later checkpoint notices by checksum and epoch
// and starts again from the new root. The package starts no goroutine.
//
// Durability. None of its own: what Reconcile wrote counts when the holder of
// the Root is durable. After a crash the old root and all it reaches are as
// before, provided the Sink reuses freed blocks only after that.
//
// The format is specified in docs/format/node.md.
package btree
