// Package strict is a device of hard geometry that holds the store on it to the
// promise of that: in zones nothing but whole stripes is written, each by one
// write. It is for tests, and changes nothing else.
//
// Nouns:
//
//	shape     the stripes a device claims to have
//	judged    a piece of a write in a zone of the store, what is never given
//	          away there (label copies, a ring between zones) left out
//	apart     any other piece: labels, superblock slots, the log
//	tally     what one or more devices judged; their tests print it
//
// The places come from the superblocks that are written to the device, and from
// the one that Open finds on it. Until there is one, as in mkfs, pieces are kept and
// judged when it comes.
//
// Invariants:
//
//	I1  A partial stripe in a zone makes the write fail, naming block, length,
//	    stripe and what the block looks like; nothing of that write is done.
//	I2  Stripes are cut as package stripecheck does: of two writes that fill a
//	    stripe together both are partial.
//
// Locks: Device.mu is a leaf below that of stripecheck; no I/O under it.
package strict
