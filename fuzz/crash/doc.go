// Package crash proves what a store promises about power cuts by trying them
// all: it runs short lists of operations on a device that records every write and
// flush, builds each state a power cut could have left, opens it and compares
// what is there with the history.
//
// Nouns:
//
//	target     how a store is formatted, opened and checked; Engine is ours
//	alphabet   the operations: some forty, chosen so that each way the engine has
//	           to store something is taken aligned, unaligned, overlapping, large
//	workload   a base (a small, nearly full store) and a list of operations
//	trace      what the device saw while a workload ran, with what was submitted
//	           and acknowledged at each moment
//	state      an image a crash can leave: the flushed writes and a subset of the
//	           others, whole or torn
//	nested     a state of a crash inside the recovery from a state
//
//	base ─open─┬─ op ─ op ─ close          trace:  w w F w F w w w F
//	           │                             cut here ──┘
//	           └ states ─open─ compare ─ fsck ─ more operations ─ compare
//	                └ trace of the recovery ─ states ─ …        (nested)
//
// Invariants:
//
//	I1  A workload is a pure function of its name, so that a failure is repeated
//	    by the line it prints.
//	I2  An image is visited once for each thing expected of it.
//	I3  What was left out for time is counted, never silent: the tests print
//	    "crash states: N nested: M", and fail below the floors they are given.
//
// Locks: an Explorer runs workloads on several goroutines, which share nothing
// but its counters and the set of visited images.
package crash
