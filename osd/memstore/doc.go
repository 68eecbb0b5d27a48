// Package memstore is the reference osd.ObjectStore: maps in memory under one
// lock, written to be obviously right rather than fast. It keeps nothing when
// closed.
//
// Nouns: a store is a table of collection specs and one map of objects for all
// of them, since collections are disjoint ranges (osd, I1). An object is its
// size, the 4 KiB pages that were written, attrs, omap and header. A view is a
// transaction at work: a copy of the table and of the objects it touched.
//
// Invariants:
//
//   - I1: an object in the map is never changed; a view changes copies and
//     replaces it. A refused transaction drops its view and has left no trace.
//   - I2: a page is never changed once a view is installed, nor is any value
//     slice; copies of objects share them.
//   - I3: bytes of pages behind the size are zero, so growing shows zeros.
//
// Locks: Store.mu guards the state; Store.queueMu, outside of it, makes the
// order of notices the order of transactions. No goroutines: notices are called
// by Queue. Nothing is durable; a transaction is committed once it is applied.
// There is no format.
package memstore
