// Package probe finds out what a disk holds and who uses it, before anything
// is written to it, and decides whether it may be formatted.
//
//	Examine   bytes only: signatures, partitions, our own store, unknown data
//	Look      a path: Examine plus size, model, users
//	Disks     Look for every disk of the machine
//	Judge     what was found against what was asked for: go on, or a refusal
//	Wipe      zeros over every mark that makes a signature recognisable
//
// The signature table is our own and needs neither blkid nor udev. A signature
// is only believed with its own checks (a second magic, a checksum, plausible
// fields) where the magic alone is short.
//
// Invariants:
//
//	I1  Examine, Look, Disks and Judge write nothing and open nothing for writing.
//	I2  "In use" is judged before anything that --force could override.
//	I3  A device that cannot be read at its ends is refused, not taken for empty.
//	I4  Whatever the bytes are, Examine ends, reads at most a few MiB beside both
//	    4 MiB ends, and does not panic.
//
// There are no goroutines and no locks here. The format of our own marks is
// specified in package ebofs/layout.
package probe
