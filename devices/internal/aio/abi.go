package aio

import "unsafe"

// Numbers of the kernel's include/uapi/linux/aio_abi.h and fs.h.
const (
	opPread   = 0
	opPwrite  = 1
	opPreadv  = 7
	opPwritev = 8

	rwfNowait = 8 // rather EAGAIN than wait
)

// Request is struct iocb of a little-endian machine.
//
//	off len
//	  0   8 user     16  2 op      24  8 addr   40  8 off
//	  8   4 zero     18  2 zero    32  8 len    48 16 zero
//	 12   4 flags    20  4 fd
type Request struct {
	user  uint64
	_     uint32
	flags uint32
	op    uint16
	_     int16
	fd    uint32
	addr  uint64
	len   uint64
	off   int64
	_     [2]uint64
}

// Result is struct io_event.
type Result struct {
	User uint64
	_    uint64
	res  int64 // bytes, or the error number below zero
	_    int64
}

// These do not compile unless the sizes are the kernel's.
var (
	_ [64]byte = [unsafe.Sizeof(Request{})]byte{}
	_ [32]byte = [unsafe.Sizeof(Result{})]byte{}
)
