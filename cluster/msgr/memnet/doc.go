// Package memnet is a network in memory: a transport for tests and simulation
// that needs no ports and no system calls, and whose connections can be cut.
// Delay and loss of single packets are not its business: connections are
// streams, as TCP's are.
//
// Nouns. A Net is a set of listeners by address. A connection is two pipes, each
// with a bounded buffer: a writer waits when its peer does not read.
//
// Invariants:
//
//	I1  Bytes arrive in order, until Close or Cut of either end.
//	I2  What was written before Close is read before io.EOF; after Cut nothing is.
//
// Locks: a pipe's mutex inside none; Net's outside of none. No goroutines.
package memnet
