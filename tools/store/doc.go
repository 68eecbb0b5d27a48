// Package store opens devices and stores for verbs, and turns what goes wrong
// into failures an operator can act on.
//
//	Claim     a device for writing, by the safety table, before mkfs or wipe
//	Open      a device, to look at or to use a store on it
//	Mount     the store on a device, with its log device if it has one
//	Explain   an error of the engine as a failure with code and next command
//	Bytes     a device as io.ReaderAt and io.WriterAt
//
// A device opened for writing is held with O_EXCL and a lock until it is
// closed; one opened to look at is neither locked nor written.
package store
