package uring

import "unsafe"

// Numbers of the kernel's include/uapi/linux/io_uring.h.
const (
	opNop      = 0
	opReadv    = 1
	opWritev   = 2
	opRead     = 22
	opWrite    = 23
	opsProbed  = 24 // all of the above
	opAbility  = 1  // in a probe: the kernel knows this one
	fixedFile  = 1  // flag of an entry: fd is an index of registered files
	offSQ      = 0
	offEntries = 0x10000000

	enterGetEvents = 1

	setupClamp        = 1 << 4
	setupCoopTaskrun  = 1 << 8  // 5.19: no interrupt of the thread to run completions
	setupSingleIssuer = 1 << 12 // 6.0: one thread submits
	setupDeferTaskrun = 1 << 13 // 6.1: completions run when that thread enters

	featSingleMmap   = 1 << 0
	featNoDrop       = 1 << 1
	featSubmitStable = 1 << 2
	featFastPoll     = 1 << 5 // 5.7: waiting for an eventfd takes no kernel thread

	featWanted = featSingleMmap | featNoDrop | featSubmitStable | featFastPoll

	registerFiles   = 2
	unregisterFiles = 3
	registerProbe   = 8
)

// entry is struct io_uring_sqe as reads and writes use it.
//
//	off len
//	  0   1 op        8  8 off     32  8 user
//	  1   1 flags    16  8 addr    40 24 zero here
//	  4   4 fd       24  4 len
type entry struct {
	op    uint8
	flags uint8
	_     uint16
	fd    int32
	off   uint64
	addr  uint64
	len   uint32
	_     uint32
	user  uint64
	_     [3]uint64
}

// result is struct io_uring_cqe.
type result struct {
	user uint64
	res  int32 // bytes, or the error number below zero
	_    uint32
}

// params is struct io_uring_params.
type params struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wqFd uint32
	_                                                      [3]uint32
	sq                                                     struct {
		head, tail, mask, entries, flags, dropped, array, _ uint32
		_                                                   uint64
	}
	cq struct {
		head, tail, mask, entries, overflow, cqes, flags, _ uint32
		_                                                   uint64
	}
}

// probe is struct io_uring_probe with room for the operations we use.
type probe struct {
	last, n uint8
	_       uint16
	_       [3]uint32
	ops     [opsProbed]struct {
		op    uint8
		_     uint8
		flags uint16
		_     uint32
	}
}

// These do not compile unless the sizes are the kernel's.
var (
	_ [64]byte  = [unsafe.Sizeof(entry{})]byte{}
	_ [16]byte  = [unsafe.Sizeof(result{})]byte{}
	_ [120]byte = [unsafe.Sizeof(params{})]byte{}
)
