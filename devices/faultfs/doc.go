// Package faultfs shows a devices.Device to other programs as a file, so that
// unmodified processes can be given a disk that fails: faultdev below it brings
// I/O errors, lost and torn writes, lying flushes, slow and full media, crashdev
// brings power cuts. It needs FUSE and root.
//
//	program ── O_DIRECT ── /dev/loopN ── disk (FUSE, this process) ── Device
//
// # Nouns
//
//	disk  the one file of the mount, as long as the device
//	cut   the power is gone: every request fails from then on
//
// # Invariants
//
//	I1  Nothing is cached between a program that opens the disk, or a loop
//	    device over it, with direct I/O and the Device: a write has reached the
//	    Device when it returns, a flush when fsync does.
//	I2  After Cut has returned no request changes the Device.
//
// # Locks and goroutines
//
// Requests run on goroutines of the FUSE server, as many as the kernel sends.
// Server.gate is held for reading by each and for writing by Cut; edge orders
// the changes of parts of blocks.
//
// # Durability
//
// That of the Device.
package faultfs
