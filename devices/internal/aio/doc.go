// Package aio is the asynchronous I/O of the kernel (io_setup(2)), as much of it as
// block I/O needs: a ring is set up, requests are handed over, and results taken. It
// knows no devices, starts no goroutine and retries nothing.
//
// # Nouns
//
//	request  one read or write, as the kernel is told of it (struct iocb)
//	result   what became of it: bytes or an error number (struct io_event)
//	user     the caller's number for a request, returned with its result
//
//	Submit ──► kernel ──► [ ring of results ] ──► Wait
//
// # Invariants
//
//	I1  There are never more requests without a result taken than New was asked
//	    for. The caller keeps this.
//
// # Locks and goroutines
//
// None. Any goroutine may Submit, at any time; Wait belongs to one. A request ends in
// the interrupt of the device, a write to a file system in a thread of the kernel's: the
// thread that handed it over has not to run for it, as with an io_uring many submit to.
// See docs/decisions/async-io.md.
//
// # Memory
//
// The kernel is told addresses as numbers. Whoever hands over a request keeps its
// memory, and the vector naming it, referenced until the result is there; that is
// memory of the heap or mapped, for stacks move. Request itself is copied by Submit.
//
// Where a file is on a file system, handing over might wait for space to be allocated
// or found. There the kernel can be asked to refuse such a request, with EAGAIN as its
// result (RWF_NOWAIT, 4.13), and the caller makes it some other way. It waits all the
// same while the file system is frozen, or the device has as many requests as it takes.
package aio
