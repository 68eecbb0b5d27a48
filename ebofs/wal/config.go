package wal

import (
	"context"
	"errors"
	"fmt"

	"ebofs/devices"
	"ebofs/internal/perf"
)

const (
	// MaxBatch is the largest batch the format allows, in bytes. A larger one
	// would not make a flush cheaper, and it bounds what a reader must buffer.
	MaxBatch = 1 << 20
	// MaxGroup bounds the bytes written before one flush, fillers aside: large
	// enough for twice a full batch, small enough that the witness of every
	// batch lies within witnessBytes (I5).
	MaxGroup = 2 << 20
	// MinBlocks is the smallest ring.
	MinBlocks = 16

	// maxRecord bounds a record whatever the size of the ring: twice the 64 MiB
	// of journaled bytes a transaction may have, to leave room for its framing.
	maxRecord = 128 << 20
	// witnessBytes is how far behind a bad batch its witness is looked for.
	witnessBytes = 4 << 20
)

var (
	// ErrFull is returned by Append when the ring has no room for the record.
	ErrFull = errors.New("log is full")
	// ErrTooLarge is returned by Append for a record above MaxRecord.
	ErrTooLarge = errors.New("record is too large for the log")
	// ErrClosed is returned by operations on a closed log.
	ErrClosed = errors.New("log is closed")
	// ErrInvalid is wrapped by errors about a Config or an argument that makes
	// no sense.
	ErrInvalid = errors.New("invalid argument")
	// ErrUnsupported is returned by Scan for a batch that a newer format wrote.
	ErrUnsupported = errors.New("log format is newer than this reader")
	// ErrStop is returned by the function given to Scan to end the log before
	// the record it was called with.
	ErrStop = errors.New("end the log here")
)

// Config says where the ring is and who it belongs to. Start to Incarnation
// must be the same for Scan as they were for the Log that wrote.
type Config struct {
	Start  uint64 // first block of the ring on its device
	Blocks uint64 // length of the ring in blocks, at least MinBlocks

	FSID        [16]byte // of the store; its first 8 bytes are in every batch
	Ring        uint8    // number of the ring within the store
	Incarnation uint64   // of the mount that writes; raised, durably, before New

	// MaxBatchBytes bounds a batch. 0 means MaxBatch; it is rounded down to
	// blocks, to an eighth of the ring and to MaxBatch, and up to two blocks.
	MaxBatchBytes int

	// DataFlush, if set, makes durable what was written elsewhere (log and data
	// on different devices). It is called before a group with a NeedsDataFlush
	// record is written; its error counts as one of the log's own.
	DataFlush func(context.Context) error

	// Beside writes what lies beside the records of a group, while the group itself is
	// written, or before it with DataFlush or Inline; one flush is behind both. Its
	// error counts as one of the log's own. The list is its own until it returns.
	Beside func(context.Context, []Beside) error

	// OnCommit, if set, is called once for every group, in order, never twice
	// at once, before the waiters of that group wake. first and last are the
	// txids of its first and last record in order of Append. A nil err says
	// they are committed. Otherwise they and all later records are not, and err
	// is the log's sticky error. It must not block and must not call Wait or Close;
	// Append and Kick are allowed.
	OnCommit func(first, last uint64, err error)

	// FlushNanos, if set, measures the flushes of the log's device.
	FlushNanos *perf.Histogram

	// Inline forbids goroutines: whoever calls Wait, Kick or Close does the I/O.
	Inline bool
}

// Beside names blocks that Config.Beside is to write; the log knows no more of them.
type Beside struct{ Start, Blocks uint64 }

// Pos is the start of a batch.
type Pos struct {
	Block uint64 // offset in the ring, in blocks
	Seq   uint64 // number of the batch that starts or will start there
}

func (p Pos) String() string { return fmt.Sprintf("seq %d at block %d", p.Seq, p.Block) }

// LSN numbers the records of one Log in order of Append, from 1.
type LSN uint64

// NeedsDataFlush is the record flag that says: this record names data written
// outside the log. It is stored, so that recovery knows which records to check.
const NeedsDataFlush uint16 = 1 << 15

// check says what is wrong with c and the position p in it.
func (c *Config) check(dev devices.Device, p Pos) error {
	total := dev.Geometry().Blocks
	switch {
	case c.Blocks < MinBlocks:
		return fmt.Errorf("log ring of %d blocks, want at least %d: %w", c.Blocks, MinBlocks, ErrInvalid)
	case c.Start > total || c.Blocks > total-c.Start:
		return fmt.Errorf("log ring %d~%d on a device of %d blocks: %w", c.Start, c.Blocks, total, ErrInvalid)
	case p.Block >= c.Blocks:
		return fmt.Errorf("log position %d in a ring of %d blocks: %w", p.Block, c.Blocks, ErrInvalid)
	case p.Seq == 0:
		return fmt.Errorf("log batch number 0: %w", ErrInvalid)
	}
	return nil
}

// maxBatch is the largest batch written, in bytes.
func (c *Config) maxBatch() int {
	n := c.MaxBatchBytes
	if n <= 0 || n > MaxBatch {
		n = MaxBatch
	}
	if e := c.Blocks / 8; uint64(n) > e*devices.BlockSize {
		n = int(e * devices.BlockSize)
	}
	return max(n&^(devices.BlockSize-1), 2*devices.BlockSize)
}

// maxRecord is the longest record this ring takes, in bytes.
func (c *Config) maxRecord() int {
	if n := c.Blocks / 4; n < maxRecord/devices.BlockSize {
		return int(n * devices.BlockSize)
	}
	return maxRecord
}
