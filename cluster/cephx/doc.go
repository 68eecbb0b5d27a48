// Package cephx proves who is on the other side of a connection, and says what
// they may do. It has both sides of two methods, none and cephx, the keys and
// tickets of the latter, keyring files, and capability strings with their
// evaluation. It does no I/O on connections and knows no messages.
//
// Nouns. An entity has a name and a secret Key. A monitor, which knows all keys,
// gives it Tickets for services: sealed under a rotating secret that the daemons
// of the service share, opaque to the entity, with a session key inside and
// beside. An authorizer is a ticket with a proof that its session key is known.
// Caps are what a string grants; by default nothing.
//
//	entity ── login: challenge, proof ──→ monitor
//	       ←── tickets, session keys ────
//	       ── authorizer ──→ daemon     challenge, proof, reply
//
// Invariants:
//
//	I1  Keys, proofs and challenges are compared in constant time.
//	I2  A challenge serves one answer on one connection.
//	I3  A global id is kept only against a ticket that was given out for it.
//	I4  What no grant allows is denied. Caps that do not parse grant nothing: the
//	    session is refused.
//	I5  Secrets print as [redacted].
//	I6  Any input gives a value or an error, never a panic.
//
// The cipher is the one release 16.2 has (type aes: AES-128-CBC under a fixed
// vector, no integrity but a magic number); the aes256k of later releases is not
// here yet. Time and randomness are parameters.
//
// Locks: KeyServer, ServiceKeys and Client have a mutex each, held for no call
// out. No goroutines. Byte formats were read off captures of 16.2; they are in
// cluster/testdata/wire.
package cephx
