// Package history decides whether what a store holds is what its callers were
// promised: after a crash, a kill, a full disk or a damaged block. It drives no
// store and no device; the packages beside it do.
//
// Nouns:
//
//	picture   the contents of a store at one moment, as checksums: every
//	          collection, every object, metadata and data apart
//	history   what was submitted, in order, and the picture after each step,
//	          drawn from a reference store that was given the same
//
//	  step 0        1          2          3
//	  base ──txn 1──●──txn 2──●──txn 3──●        submitted: 3
//	       picture 1  picture 2  picture 3
//	                  ╰ acknowledged: 2: nothing older is allowed
//
// Invariants, the promises of the engine in these words:
//
//	I1  (G1) No collection is older than its last acknowledged transaction.
//	I2  (G2) Each collection is as after a whole number of transactions, and a
//	    transaction that names several is in all of them or in none.
//	I3  (G3) Within a collection the survivors are a prefix: some picture of the
//	    history shows exactly this collection.
//	I4  (G5) Data is compared byte by byte through checksums of every 4 KiB; a
//	    read error is never taken for an answer.
//
// Locks: a History belongs to one goroutine; pictures never change and may be
// shared. Checksums are seeded per process: pictures are compared, not kept.
package history
