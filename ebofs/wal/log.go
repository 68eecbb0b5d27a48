package wal

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"

	"ebofs/devices"
)

// Log is the writing end of a ring. All methods may run at once.
type Log struct {
	dev       devices.Device
	cfg       Config
	fsid      uint64
	batchMax  int             // largest batch, in bytes
	recordMax int             // longest record, in bytes
	ctx       context.Context // of all I/O: a waiter that gives up does not stop it

	wake   chan struct{} // one token: look for work
	stop   chan struct{}
	writer sync.WaitGroup

	committed atomic.Uint64         // LSN; written by the leader, read without mu
	together  atomic.Int64          // records of the last group; likewise
	failure   atomic.Pointer[error] // first failure (I3); written under mu, read without

	mu struct {
		sync.Mutex
		closed bool
		busy   bool // there is a leader

		// vend is where the batch after the open one starts: a block number that
		// counts on over laps, so that vend mod Blocks is the offset in the ring.
		// While a batch is open it is the end of that batch at its present size.
		vend    uint64
		vtail   uint64 // I4: vend - vtail < Blocks
		nextSeq uint64 // of the batch after the open one
		tailSeq uint64

		open   *batch   // taking records; nil or not empty
		sealed []*batch // waiting for a leader, in order
		free   []*batch // memory to reuse, at most keepFree

		appended LSN // last record appended
		wanted   LSN // somebody waits for all records up to here

		committedSeq  uint64
		committedTxid uint64 // highest
		metrics       Metrics
	}

	// Owned by the leader.
	chain  uint32 // crc of the last batch written
	flight []*batch
	beside []Beside // of the group in flight
	vec    devices.Vec
	done   []chan struct{}
	woken  int // batches of the last group that had followers
}

// keepFree is how many idle batches are kept: a full group in flight, as many
// filling behind it.
const keepFree = 2 * MaxGroup / MaxBatch

// New returns the log of cfg that goes on at head. prevCRC is the checksum of
// the batch before head, 0 for a new ring. The tail is at head until SetTail
// says otherwise. A Config that makes no sense gives a log on which every
// operation fails with ErrInvalid.
//
// Nothing is written before the first record is committed.
func New(dev devices.Device, cfg Config, head Pos, prevCRC uint32) *Log {
	l := &Log{
		dev: dev, cfg: cfg, fsid: binary.LittleEndian.Uint64(cfg.FSID[:]),
		batchMax: cfg.maxBatch(), recordMax: cfg.maxRecord(),
		ctx:  devices.WithClass(context.Background(), devices.ClassLog),
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
		chain: prevCRC,
	}
	if err := cfg.check(dev, head); err != nil {
		l.failure.Store(&err)
		return l
	}
	l.mu.vend = cfg.Blocks + head.Block // one lap in, so that the tail may lie before it
	l.mu.vtail = l.mu.vend
	l.mu.nextSeq, l.mu.tailSeq = head.Seq, head.Seq
	l.mu.committedSeq = head.Seq - 1
	if !cfg.Inline {
		l.writer.Go(l.runWriter)
	}
	return l
}

// Idle reports whether nothing that was appended is still on its way.
func (l *Log) Idle() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.decided(l.mu.appended)
}

// Together returns how many records the last group committed.
func (l *Log) Together() int { return int(l.together.Load()) }

// Append copies a record, the concatenation of pieces, into the log and returns
// its number; Wait or OnCommit tell when it is committed. Records are logged in
// the order of the calls. It never blocks on I/O and leaves nothing behind when
// it fails: with ErrFull if the ring has no room, ErrTooLarge above MaxRecord,
// or the error of a stopped log.
func (l *Log) Append(txid uint64, flags uint16, pieces ...[]byte) (LSN, error) {
	return l.AppendBeside(txid, flags, nil, pieces...)
}

// AppendBeside is Append of a record that is committed only with what lies beside it,
// which Config.Beside writes.
func (l *Log) AppendBeside(txid uint64, flags uint16, beside []Beside, pieces ...[]byte) (LSN, error) {
	n := 0
	for _, p := range pieces {
		n += len(p)
	}
	if n > l.recordMax {
		return 0, fmt.Errorf("record of %d bytes, limit %d: %w", n, l.recordMax, ErrTooLarge)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.stoppedLocked(); err != nil {
		return 0, err
	}
	if end := l.endAfterLocked(n); end-l.mu.vtail >= l.cfg.Blocks {
		return 0, fmt.Errorf("record of %d bytes, %d blocks free: %w", n, l.freeLocked(), ErrFull)
	}
	l.placeLocked(frame{flags: flags, txid: txid}, n, &parts{pieces: pieces})
	l.mu.open.beside = append(l.mu.open.beside, beside...) // the batch where the record ends
	l.mu.metrics.Records++
	l.mu.metrics.PayloadBytes += uint64(n)
	return l.mu.appended, nil
}

func (l *Log) stoppedLocked() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	if l.mu.closed {
		return ErrClosed
	}
	return nil
}

// room returns how many bytes a batch at virtual block v may use in all.
func (l *Log) room(v uint64) int {
	rest := l.cfg.Blocks - v%l.cfg.Blocks
	if uint64(l.batchMax) <= rest*devices.BlockSize {
		return l.batchMax
	}
	return int(rest * devices.BlockSize)
}

// fitsOpenLocked reports whether a record of n bytes goes into the open batch.
func (l *Log) fitsOpenLocked(n int) bool {
	b := l.mu.open
	return b != nil && frameBytes+n <= l.room(b.vpos)-b.used
}

// endAfterLocked returns what vend would be with a record of n bytes more: the
// same decisions as placeLocked, without consequences.
func (l *Log) endAfterLocked(n int) uint64 {
	if l.fitsOpenLocked(n) {
		return l.mu.open.vpos + blocksOf(l.mu.open.used+frameBytes+n)
	}
	v := l.mu.vend
	if whole := headerBytes + frameBytes + n; whole <= l.batchMax {
		if whole > l.room(v) {
			v += l.cfg.Blocks - v%l.cfg.Blocks
		}
		return v + blocksOf(whole)
	}
	for {
		part := min(n, l.room(v)-headerBytes-frameBytes)
		v += blocksOf(headerBytes + frameBytes + part)
		if n -= part; n == 0 {
			return v
		}
	}
}

// placeLocked puts a record of n bytes into the open batch, into a fresh one,
// or, if it is too long for any, in parts into as many as it takes. Only a
// record that would fit a batch, but not what is left of the ring, costs a
// filler: parts fill the ring to its last block.
func (l *Log) placeLocked(f frame, n int, src *parts) {
	l.mu.appended++
	if l.fitsOpenLocked(n) {
		f.typ = frameWhole
		l.putLocked(f, n, src)
		return
	}
	l.sealLocked()
	if whole := headerBytes + frameBytes + n; whole <= l.batchMax {
		if whole > l.room(l.mu.vend) {
			l.fillLocked()
		}
		l.openLocked()
		f.typ = frameWhole
		l.putLocked(f, n, src)
		return
	}
	for f.typ = frameFirst; ; f.typ = frameMiddle {
		part := min(n, l.room(l.mu.vend)-headerBytes-frameBytes)
		l.openLocked()
		if n -= part; n == 0 {
			f.typ = frameLast
			l.putLocked(f, part, src)
			return
		}
		l.putLocked(f, part, src)
		l.sealLocked()
	}
}

// putLocked adds a frame with n bytes to the open batch.
func (l *Log) putLocked(f frame, n int, src *parts) {
	b := l.mu.open
	f.length = uint32(n)
	b.ensure(b.used+frameBytes+n, l.batchMax)
	b.put(f, src)
	l.mu.vend = b.vpos + b.blocks()
	b.lastLSN = l.mu.appended
	if f.typ == frameFirst || f.typ == frameMiddle {
		b.lastLSN--
	}
}

// openLocked starts a batch at vend; there is none open.
func (l *Log) openLocked() {
	l.mu.open = l.newBatchLocked()
	l.mu.nextSeq++
}

// sealLocked closes the open batch, if there is one: nothing is added any more.
func (l *Log) sealLocked() {
	if l.mu.open != nil {
		l.mu.sealed = append(l.mu.sealed, l.mu.open)
		l.mu.open = nil
	}
}

// fillLocked gives up what is left of the ring before its end; there is no open
// batch and something is left.
func (l *Log) fillLocked() {
	b := l.newBatchLocked()
	b.filler = true
	b.ensure(devices.BlockSize, l.batchMax)
	b.lastLSN = l.mu.appended - 1
	l.mu.sealed = append(l.mu.sealed, b)
	l.mu.nextSeq++
	rest := l.cfg.Blocks - l.mu.vend%l.cfg.Blocks
	l.mu.vend += rest
	l.mu.metrics.Fillers++
	l.mu.metrics.SkippedBytes += (rest - 1) * devices.BlockSize
}

// newBatchLocked returns an empty batch for nextSeq at vend.
func (l *Log) newBatchLocked() *batch {
	var b *batch
	if n := len(l.mu.free); n > 0 {
		b, l.mu.free = l.mu.free[n-1], l.mu.free[:n-1]
	} else {
		b = new(batch)
	}
	b.reset(l.mu.vend, l.mu.nextSeq)
	return b
}

// Cut seals what is open and returns where the next batch will start: every
// record appended so far lies before it, every later one at or after it. Once
// the caller has made the earlier ones superfluous it is a position for SetTail.
func (l *Log) Cut() Pos {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sealLocked()
	return Pos{Block: l.mu.vend % max(l.cfg.Blocks, 1), Seq: l.mu.nextSeq}
}

// SetTail allows the space before p to be written again; p is a result of Cut.
// Batches written from now on name it as the tail. A position before the
// present tail is ignored, except on a log without any record: there it says
// how much of the ring the records found by Scan still occupy.
func (l *Log) SetTail(p Pos) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.Block >= l.cfg.Blocks || p.Seq > l.mu.nextSeq || p.Seq < l.mu.tailSeq && l.mu.appended > 0 {
		return
	}
	l.mu.vtail = l.mu.vend - (l.mu.vend%l.cfg.Blocks+l.cfg.Blocks-p.Block)%l.cfg.Blocks
	l.mu.tailSeq = p.Seq
}

// freeLocked returns the blocks that may still be written.
func (l *Log) freeLocked() uint64 { return l.cfg.Blocks - 1 - (l.mu.vend - l.mu.vtail) }

// Free returns the bytes of the ring that may still be written; what open and
// sealed batches occupy is taken, rounding and fillers included. Cost says what
// a record needs of it.
func (l *Log) Free() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cfg.Blocks == 0 {
		return 0
	}
	return int64(l.freeLocked()) * devices.BlockSize
}

// Size returns the bytes of the ring that records can use at most.
func (l *Log) Size() int64 { return (int64(l.cfg.Blocks) - 1) * devices.BlockSize }

// MaxRecord returns the longest record Append takes, in bytes: a quarter of the
// ring, so that a checkpoint started at half of it always finds room.
func (l *Log) MaxRecord() int { return l.recordMax }

// Cost returns the most bytes of the ring a record of n bytes takes, whatever
// lies before it: Append never says ErrFull to records that cost less, taken
// together, than Free said.
func (l *Log) Cost(n int) int64 {
	whole := headerBytes + frameBytes + n
	if whole <= l.batchMax {
		// A filler is smaller than the batch it makes room for.
		return int64(2*blocksOf(whole)-1) * devices.BlockSize
	}
	// Every part but the last fills its batch; the end of the ring may cut one
	// batch in two. The lap after it cannot come: n is at most a quarter.
	perBatch := l.batchMax - headerBytes - frameBytes
	return int64(blocksOf(n+(n/perBatch+2)*(headerBytes+frameBytes))+1) * devices.BlockSize
}

// Committed returns the number of the last committed batch and the highest txid
// committed by this Log, 0 if none.
func (l *Log) Committed() (seq, txid uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.mu.committedSeq, l.mu.committedTxid
}

// Err returns the error that stopped the log, nil while it works.
func (l *Log) Err() error {
	if err := l.failure.Load(); err != nil {
		return *err
	}
	return nil
}
