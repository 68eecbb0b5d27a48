// Package stripecheck is a device that counts what its stripes have to suffer:
// writes that fill a stripe in part, and those of them for which a real device
// of that geometry would have to read before it writes. It wraps any device
// and changes nothing, unless Judge refuses a write.
//
// # Nouns
//
//	stripe   StripeBytes of the device, from AlignBytes on; what lies before the
//	         first boundary or is cut off by the end of the device is one, too
//	partial  a stripe that one write covers only in part; no two writes are
//	         added up, since nothing promises that the device will
//	RMW      a partial stripe on hard geometry; on soft geometry, one whose part
//	         begins or ends inside a unit
//	class    a range of blocks to count apart, such as the log
//
// # Invariants
//
//	I1  Every piece is counted in exactly one class: the first given that
//	    contains its first block, or the class "".
//	I2  A write that Judge refuses is neither counted nor done.
//
// Reads, flushes, zeroes and discards pass through uncounted. Device.mu is a
// leaf; it is not held across I/O.
package stripecheck
