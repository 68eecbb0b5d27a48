// Package uring is the io_uring of the kernel, as much of it as block I/O
// needs: a ring is set up, filled with reads and writes, entered, and emptied
// of results. It knows no devices, starts no goroutine and retries nothing.
//
// # Nouns
//
//	entry    one read or write, on its way to the kernel (SQE)
//	result   what became of it: bytes or an error number (CQE)
//	user     the caller's number for an entry, returned with its result
//
//	Read, Write ──► [ submission queue ] ── Enter ──► kernel
//	Reap        ◄── [ completion queue ] ◄────────────┘
//
// # Invariants
//
//	I1  There are never more entries without a result than New was asked for,
//	    so the completion queue, twice as long, cannot overflow.
//	I2  What the kernel writes is read after an atomic load of its tail, and
//	    what it reads is written before an atomic store of ours.
//
// # Locks and goroutines
//
// None. From New to Close a Ring belongs to one operating system thread
// (runtime.LockOSThread): where the kernel can (6.1), it runs completions only
// when that thread enters, which is what makes a deep queue cheap.
//
// # Memory
//
// The kernel is told addresses as numbers. Whoever hands out an entry keeps its
// memory, and the vector naming it, referenced until the result is there; that
// is memory of the heap or mapped, for stacks move.
//
// Kernels before 5.7, and those where io_uring is switched off or filtered
// away, are refused by New with the reason.
package uring
