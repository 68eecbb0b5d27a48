// Package faultdev is a device that fails as told. It wraps any device and
// injects what real ones do: errors, short transfers, lost, misdirected and
// corrupted blocks, flushes that lie, full and slow media.
//
// # Nouns
//
//	rule  which I/O (operation, range, site, number, probability), what happens
//	      to it (kind), and whether once or always
//	hit   an I/O that a rule changed; a rule never hit is a broken test (Unhit)
//	site  where in the engine an I/O comes from: devices.WithSite
//
// # Scripts
//
// One rule a line, or several separated by semicolons; "#" starts a comment:
//
//	operation [range=B~N] [site=NAME] [nth=K] [p=F] [by=D] kind [once|always]
//
//	write nth=3 eio                third write fails
//	any nth=7 eio always           seventh I/O and all that follow fail
//	read range=100~8 flip always   reads that touch blocks 100 to 107
//	read p=0.01 zeros always       one read in a hundred
//	write site=wal by=16 misdirect the first log write lands 16 blocks on
//	flush nth=2 lie                second flush reports success and does nothing
//
// Operations are read, write, flush, discard, zero and any. Kinds:
//
//	eio        fails and has no effect; a failed flush sticks
//	full       ENOSPC and no effect (write, zero)
//	short      first half is transferred, then an error (read, write)
//	zeros      succeeds with zeros (read)
//	stale      succeeds with what was there before the last write (read)
//	flip       one bit is wrong: in the result, or on the medium (read, write)
//	misdirect  succeeds, by D blocks away (read, write; D is 1 by default)
//	drop       succeeds and does nothing (write, discard, zero)
//	lie        succeeds and does nothing (flush)
//	slow       calls Options.Delay first
//	hang       waits for the context or Release
//
// # Invariants
//
//	I1  An I/O is changed by one rule at most: the first that fires. Every rule
//	    it matches counts it.
//	I2  Equal seeds, rules and sequences of I/O give equal faults.
//	I3  After an injected failure of Flush the device keeps to the contract:
//	    writes are refused and Flush repeats the error.
//
// # Locks and goroutines
//
// Device.mu guards rules and counters and is not held across I/O. No goroutine
// is started.
package faultdev
