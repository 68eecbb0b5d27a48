// Package quorum is the memory the monitors share: keys with values, the same on
// every member, changed by one transaction at a time, kept by a majority. Package
// etcd below it has the consensus engine, embedded in the monitor's process or a
// cluster of its own; Memory is its deterministic twin in RAM.
//
// Nouns. A Store is one member's, or one client's, view. A revision numbers the
// states of the whole store; a key has the revision of its last change. A
// transaction (Txn) makes its changes if the keys it names still have the
// revisions its caller has seen, else it is a conflict and the caller looks
// again: so any monitor may change anything, without a leader. Leadership is for
// work only one should do.
//
// Invariants:
//
//	I1  What Commit returned nil for is durable on a majority.
//	I2  Revisions only grow; Watch misses none that concerns its prefix, or says so.
//	I3  Every value carries a checksum of ours, which is verified when it is read:
//	    the engine has none on data (RELIABILITY R18).
//	I4  At most one Term of a name is in force, but a paused process may find out
//	    late: whoever writes as leader names Term.Key in its transaction.
//
// Calls may run at once. A Store starts goroutines for Watch and Lead; their
// contexts and Close end them.
package quorum
