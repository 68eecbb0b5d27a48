package devices

import (
	"context"
	"errors"
)

// BlockSize is the unit of every address and every I/O, in bytes. It is the
// page size of the machines we run on and a multiple of every logical sector
// size in use, so that one constant serves format, checksums and alignment.
const BlockSize = 4096

// Block is the index of a block on one device; block b starts at byte
// b*BlockSize.
type Block uint64

// Vec is the memory of one I/O, in order. Every slice is a whole number of
// blocks long and starts at an address aligned to BlockSize (frames of a Pool
// are); the I/O covers consecutive blocks of the device.
type Vec = [][]byte

// VecBytes returns the total length of v in bytes.
func VecBytes(v Vec) int {
	n := 0
	for _, p := range v {
		n += len(p)
	}
	return n
}

// Device is an array of blocks with one durability barrier. Everything the
// engine stores goes through it, so crash behaviour is defined here.
//
// Durability: a write is visible once Write returns and durable once a later
// Flush returns. At a crash each unflushed write is, independently of the
// others, kept, lost, or torn on a Geometry.TearBytes boundary.
//
// Failure: a failed Write leaves the blocks it named in any mixture of old and
// new. After a failed Flush nobody knows which writes survive: the device
// refuses further writes, and Flush repeats the first error.
//
// Concurrency: all methods may run at once. The caller orders overlapping I/O.
type Device interface {
	// Geometry describes the device; it does not change while it is open.
	Geometry() Geometry
	// Read fills v from block b onward; it is never short.
	Read(ctx context.Context, b Block, v Vec) error
	// Write stores v from block b onward. It does not retain v.
	Write(ctx context.Context, b Block, v Vec) error
	// Flush is a barrier over every write that returned before it was called.
	Flush(ctx context.Context) error
	// Close releases the device. It does not flush.
	Close() error
}

// Geometry is what a device says of itself, or what mkfs was told of it.
// All sizes are in bytes unless the name says blocks.
type Geometry struct {
	Blocks uint64 // size of the device, in blocks, rounded down

	LogicalBytes  uint32 // smallest addressable unit
	PhysicalBytes uint32 // smallest unit written without read-modify-write inside the medium
	TearBytes     uint32 // a write may tear at multiples of this

	UnitBytes   uint32 // smallest write without read-modify-write of the device (RAID chunk, indirection unit)
	StripeBytes uint32 // what the engine fills as a whole; a multiple of UnitBytes
	AlignBytes  uint64 // offset of the first stripe boundary from the start of the device
	Hard        bool   // partial stripes cost a read-modify-write of the device

	CacheVolatile bool // writes need Flush to be durable
	FUA           bool // one write can be made durable by itself
	Rotational    bool // seeks are expensive (a hint, never trusted alone)

	DiscardBytes uint32 // discard granularity; 0: the device cannot discard
	ZeroBytes    uint32 // write-zeroes granularity; 0: no such command
	MaxIOBytes   uint32 // largest single transfer worth issuing; 0: no limit known
}

// Discarder is a Device that can be told a range holds nothing of value.
type Discarder interface {
	// Discard gives up the contents of n blocks from b; reading them afterwards
	// yields anything until they are written again.
	Discard(ctx context.Context, b Block, n uint64) error
}

// Zeroer is a Device that can zero a range without transferring the zeros.
type Zeroer interface {
	// Zero makes n blocks from b read as zeros; durable after Flush, like a write.
	Zero(ctx context.Context, b Block, n uint64) error
}

// DurableWriter is a Device that can make one write durable by itself.
type DurableWriter interface {
	// WriteDurable is Write followed by a Flush of these blocks alone.
	WriteDurable(ctx context.Context, b Block, v Vec) error
}

// Request is one asynchronous I/O for a Submitter. The memory of V belongs to
// the device from Submit until Done is called.
type Request struct {
	Write bool
	B     Block
	V     Vec
	// Done is called exactly once, on a goroutine of the device, with the
	// result; it must not block.
	Done func(error)
}

// Submitter is a Device that takes whole batches of requests without a
// goroutine for each.
type Submitter interface {
	// Submit starts every request of rs in order; rs may be reused once it returns.
	Submit(ctx context.Context, rs []Request)
}

// Identity is a Device that can name itself.
type Identity interface {
	// Path is the file or device node, Model and Serial what the hardware says
	// of itself; empty where unknown.
	Path() string
	Model() string
	Serial() string
}

var (
	// ErrClosed is returned by every operation on a closed device.
	ErrClosed = errors.New("device is closed")
	// ErrReadOnly is returned by writes to a device opened for reading.
	ErrReadOnly = errors.New("device is read-only")
	// ErrRange is returned for I/O outside the device or with memory that is
	// not whole aligned blocks.
	ErrRange = errors.New("I/O outside the device or not in whole aligned blocks")
	// ErrInUse is returned when another process or mount holds the device.
	ErrInUse = errors.New("device is in use")
)
