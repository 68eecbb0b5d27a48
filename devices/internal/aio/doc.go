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
// the interrupt of the device: no thread has to run for it, neither the one that handed
// it over, as with an io_uring many submit to, nor any other. See
// docs/decisions/async-io.md.
//
// # Memory
//
// The kernel is told addresses as numbers. Whoever hands over a request keeps its
// memory, and the vector naming it, referenced until the result is there; that is
// memory of the heap or mapped, for stacks move. Request itself is copied by Submit.
//
// Where a file is on a file system, handing over might wait: for space to be
// allocated, for a journal. There the kernel refuses such a request, with EAGAIN as its
// result (RWF_NOWAIT, 4.13), and the caller makes it some other way.
package aio
