// Package msgr is the messenger: sessions with other entities of a cluster over
// messenger v2.1, the protocol of Ceph's releases from 15 on. It authenticates
// both sides, keeps the order of messages, sends again what a lossless session
// lost with its connection, and bounds what a peer can make it hold. It looks into
// no message, and knows no daemon but as a Dispatcher.
//
// Nouns. A Messenger is one entity; a Conn is a session with a peer, lossy or
// lossless by its Policy; a socket is one connection of a Transport under it.
//
//	Send → sendQueue ─ writer ─→ socket ═══ socket ─ driver ─→ HandleMessage
//	            ↑ unacked ←────── ACK, ack_seq of messages ──────┘
//
// Invariants:
//
//	I1  Before a peer is authenticated only banner, HELLO and AUTH frames are read,
//	    of at most 4 and 64 KiB, within HandshakeTimeout, of a bounded number of
//	    peers in total and per IP address.
//	I2  A session has at most one driver, and a driver at most one socket: its
//	    handlers run one after the other, in the order of sequence numbers.
//	I3  On a lossless session every message is handled exactly once while neither
//	    side forgets the session; a side that does is told (HandleRemoteReset).
//	I4  What is received and not released, and what is queued to be sent, stays
//	    within Options, whatever peers do. Send never waits.
//	I5  A socket on which a frame does not get on, or nothing happens for
//	    IdleTimeout, is closed.
//	I6  A session's connection belongs to the identity that opened it: no other takes
//	    it over.
//	I7  After Shutdown no goroutine is left and no handler is called.
//
// Lock order, outermost first:
//
//	Messenger.mu
//	  Conn.mu
//	    throttle.mu, alone
//
// None is held across I/O, waiting or a handler.
//
// Goroutines. Start begins one for each listener; each accepted connection has
// one from its first byte, which becomes the driver of its session; Connect, and
// Send in standby, begin a driver that dials; a ready socket has a writer, for
// which its driver waits. Shutdown ends and waits for all.
//
// Nothing is stored. The rules of sessions (decide.go) and the byte formats
// (package frame) are of Ceph 16.2, from captures in cluster/testdata/wire.
package msgr
