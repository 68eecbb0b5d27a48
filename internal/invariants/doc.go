// Package invariants is how the code states what must always hold and makes
// test builds act on it. It checks our own reasoning, never input: what comes
// from a device or a caller is an error, not an invariant.
//
// A build with -tags invariants (what `make test` uses) turns Enabled on.
// There NoError and Check panic when the statement is false, and Sometimes
// takes rare branches on purpose: split, spill or evict early, so that paths
// that are one in a million in production are one in ten in tests. A normal
// build compiles all three to nothing.
//
// Invariants:
//
//	I1  Without the tag, no function of this package has an effect or costs
//	    more than a constant branch; callers guard costly arguments by
//	    `if invariants.Enabled`.
//	I2  The choices of Sometimes follow from one seed and the order of calls:
//	    a single-threaded test that fails can be replayed by its seed.
//
// Locks: Sometimes is one atomic step and may be called anywhere. The package
// starts no goroutine and stores nothing.
package invariants
