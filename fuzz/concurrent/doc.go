// Package concurrent has many workers use one store at once and judges what they
// saw, and what a power cut at any moment of it would have left.
//
// Nouns:
//
//	pair     two objects of one collection; changes go to one of them or, as a
//	         clone, from one to the other
//	cells    the data of an object, 1000 bytes each, every one the work of one
//	         write and named by its version; attrs and omap values likewise
//	call     a transaction or a read of one worker on one pair, with the ticks of
//	         a common clock at which it was called and had returned
//	cut      a state crashdev.Clone took while the workers were at it, opened,
//	         checked and drawn at once
//
//	worker 1  ├─ write a ─┤      ├─ clone a to b ─┤
//	worker 2       ├─ read a ─┤        ├─ read b ─────┤
//	cuts               ×          ×         ×
//
// Invariants:
//
//	I1  (G4) The calls on each pair are linearizable: porcupine finds an order in
//	    which a plain model answers the same, and each call lies between its two
//	    ticks. A search that does not end in time is a failure. A transaction on
//	    several pairs is one call on each: the contract of osd.ObjectStore keeps
//	    single objects apart, not several.
//	I2  (G1, G2, G3) A cut is as after a prefix of each collection's transactions, in
//	    the order of their commit notices: at least those acknowledged before the
//	    cut, none called after it. Those in between are open: there or not there,
//	    but as a whole.
//	I3  (G6) A deep check of a cut finds nothing.
//
// Locks: run.mu guards what the workers collect; the store's callbacks take it.
package concurrent
