// Package engine is the ebofs store as the packages beside it torture it: small,
// in one goroutine, with its errors in the words of osd. It adds no behaviour.
//
// Nouns: Options shape a store so that little work fills it; Store is a mounted
// one.
//
// Invariants: I1: with Inline set, what reaches the device follows from the calls
// alone. I2: Check never writes to a device. I3: a store of hard geometry whose
// device was given to Open writes whole stripes; package strict refuses others and
// counts them.
//
// Locks: those of ebofs. What is durable when is ebofs's to say, and what this
// package is there to test.
package engine
