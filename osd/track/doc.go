// Package track knows which requests an OSD is working on, what each of them is
// waiting for, and which were the slowest lately. It is what `dump_ops_in_flight`
// and its like show, and what a report of slow requests is made of.
//
// Nouns. An Op is a request under way; a Stage is how far it has come, named for
// what it waits for there; a Mark is when it came to one. A Record is an Op as it is
// shown.
//
//	Start ──▶ in flight ── Mark ──▶ … ── Done ──▶ history: the slowest of some time
//	                                       └────▶ slow history: the newest too slow
//
// Invariants:
//
//	T1  An Op is in flight from Start to Done or Drop, of which the first counts.
//	T2  Of a request that is over nothing is kept but a copy of its description: not
//	    its data, which belongs to a message.
//
// Locks: Tracker.mu guards the lists, Op.mu the marks of one; Tracker.mu comes
// first. Nothing is started, nothing is durable.
package track
