package wal

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"ebofs/devices"
	"ebofs/internal/planted"
)

// Record is what Scan found.
type Record struct {
	Txid  uint64
	Flags uint16
	Data  []byte // valid during the call

	Seq     uint64 // of the batch it ends in
	Block   uint64 // offset of that batch in the ring
	Horizon uint64 // that batch's

	// Committed says that a witness proves it: some later batch names a horizon
	// at or above Seq. Of the last few batches nobody knows.
	Committed bool
}

// ScanResult says what a ring holds.
type ScanResult struct {
	// End is the first position behind the last valid batch, PrevCRC that
	// batch's checksum: where a log of a higher incarnation may go on, or this
	// one (Resumable).
	End     Pos
	PrevCRC uint32

	Records uint64 // given to the function
	Batches uint64 // valid, fillers included
	Bytes   uint64 // of the ring in them

	MaxHorizon uint64 // highest horizon seen, witnesses behind a bad batch included
	MaxTxid    uint64 // highest txid given to the function
	TailSeq    uint64 // newest tail that a batch names, 0 without batches

	Damage  *Damage // a committed batch is bad; nil if the log just ends
	Torn    bool    // the log ends in a batch of this incarnation that is not whole
	Partial bool    // it ends inside a record, which does not count
	Stopped bool    // the function ended it with ErrStop
	Reason  string  // why it ends at End, for people
}

// Resumable says whether the log may go on in its incarnation: it ends behind a
// whole record, and because nothing follows.
func (r *ScanResult) Resumable() bool { return !r.Stopped && !r.Partial && r.Damage == nil }

// Damage is the error about a batch that was committed and is bad now.
type Damage struct {
	Seq   uint64        // of the bad batch
	Block devices.Block // on the device where it starts
	Kind  string        // what is bad: "log batch", "log record"
	Want  string
	Got   string
}

func (d *Damage) Error() string {
	return fmt.Sprintf("%s: batch %d at block %d: want %s, got %s", d.Kind, d.Seq, d.Block, d.Want, d.Got)
}

// windowBytes is how many bytes of batches Scan holds back to learn whether
// they are committed. By I5 a log that obeys the format needs half of it.
const windowBytes = 2 * witnessBytes

// maxSpare is how many buffers of delivered batches are kept: what a window of
// full batches needs.
const maxSpare = windowBytes / MaxBatch

// Scan reads the log from the tail on and calls fn for every record in order.
// It accepts batches while checksum, store, ring, incarnation, number and chain
// are right, and then decides whether the log was torn there or is damaged. It
// writes nothing, resists any contents, and reads what the log occupies plus at
// most a few MiB, with a bounded window in memory and the longest record.
//
// An error other than ErrStop from fn ends the scan and is returned. Otherwise
// the error is nil (damage is in the result) unless the device cannot be read
// in more places than a torn write explains, or the format is too new.
func Scan(ctx context.Context, dev devices.Device, cfg Config, tail Pos, fn func(Record) error) (ScanResult, error) {
	res := ScanResult{End: tail}
	if err := cfg.check(dev, tail); err != nil {
		return res, err
	}
	s := &scanner{
		cfg: cfg, fn: fn, res: &res, recordMax: cfg.maxRecord(),
		fsid: binary.LittleEndian.Uint64(cfg.FSID[:]),
		ring: reader{ctx: ctx, dev: dev, start: cfg.Start, blocks: cfg.Blocks},
	}
	defer s.ring.done()
	err := s.run()
	if errors.Is(err, ErrStop) {
		return res, nil
	}
	return res, err
}

// scanner is one run of Scan.
type scanner struct {
	cfg       Config
	fsid      uint64
	recordMax int
	ring      reader
	fn        func(Record) error
	res       *ScanResult

	window []held // valid, not yet given to fn, in order
	size   int    // bytes in it
	spare  [][]byte

	parts   []byte // of the long record being put together
	inParts bool
	of      frame // its first frame
}

// held is a valid batch waiting for its witness.
type held struct {
	h   header
	at  Pos
	end Pos
	buf []byte // its bytes, header included
}

// run follows the chain. The records of a batch are given to fn once a witness
// is known, or none can come any more.
func (s *scanner) run() error {
	pos := s.res.End
	var prev *header
	for used := uint64(0); ; {
		h, p, bad := s.next(pos, prev)
		if bad == nil && used+h.blocks() > s.cfg.Blocks {
			bad = &badBatch{want: "end before the tail", got: "second lap"}
		}
		switch {
		case bad != nil && bad.newer:
			return fmt.Errorf("batch %d: want %s, got %s: %w", pos.Seq, bad.want, bad.got, ErrUnsupported)
		case bad != nil:
			return s.finish(pos, bad)
		}
		s.res.Batches++
		s.res.Bytes += h.blocks() * devices.BlockSize
		s.res.MaxHorizon = max(s.res.MaxHorizon, h.horizon())
		s.res.TailSeq = max(s.res.TailSeq, h.seq-min(uint64(h.back), h.seq))
		b := held{h: h, at: pos}
		used += h.blocks()
		b.end = Pos{Block: (pos.Block + h.blocks()) % s.cfg.Blocks, Seq: pos.Seq + 1}
		if h.typ == typeFiller {
			used += s.cfg.Blocks - (pos.Block + h.blocks())
			b.end.Block = 0
		}
		s.hold(b, p)
		for len(s.window) > 0 && (s.window[0].h.seq <= s.res.MaxHorizon || s.size > windowBytes) {
			if err := s.deliver(); err != nil {
				return err
			}
		}
		pos, prev = b.end, &h
	}
}

// hold copies a valid batch into the window.
func (s *scanner) hold(b held, p []byte) {
	if n := len(s.spare); n > 0 {
		b.buf, s.spare = s.spare[n-1][:0], s.spare[:n-1]
	}
	b.buf = append(b.buf, p[:b.h.bytes]...)
	s.size += len(b.buf)
	s.window = append(s.window, b)
}

// deliver gives the records of the oldest batch in the window to fn.
func (s *scanner) deliver() error {
	b := s.window[0]
	s.window = append(s.window[:0], s.window[1:]...)
	s.size -= len(b.buf)
	if len(s.spare) < maxSpare {
		s.spare = append(s.spare, b.buf)
	}
	s.res.End, s.res.PrevCRC = b.end, b.h.crc
	for rest := b.buf[headerBytes:]; len(rest) > 0; {
		f, data, tail, err := decodeFrame(rest)
		whole := false
		if err == nil {
			data, whole, err = s.join(f, data)
		}
		if err != nil {
			s.res.Damage = &Damage{
				Seq: b.h.seq, Block: devices.Block(s.cfg.Start + b.at.Block),
				Kind: "log record", Want: "records that fill the batch", Got: err.Error(),
			}
			s.res.Reason = s.res.Damage.Error()
			return ErrStop
		}
		rest = tail
		if !whole {
			continue
		}
		err = s.fn(Record{
			Txid: f.txid, Flags: f.flags, Data: data,
			Seq: b.h.seq, Block: b.at.Block, Horizon: b.h.horizon(),
			Committed: b.h.seq <= s.res.MaxHorizon,
		})
		if err != nil {
			if errors.Is(err, ErrStop) {
				s.res.Stopped = true
				s.res.Reason = fmt.Sprintf("ended by the reader at transaction %d in batch %d", f.txid, b.h.seq)
			}
			return err
		}
		s.res.Records++
		s.res.MaxTxid = max(s.res.MaxTxid, f.txid)
	}
	return nil
}

// join puts a frame behind those before it; whole says that data is now all of
// the record.
func (s *scanner) join(f frame, part []byte) (data []byte, whole bool, err error) {
	switch first := f.typ == frameWhole || f.typ == frameFirst; {
	case first && s.inParts:
		return nil, false, fmt.Errorf("frame type %d inside a record in parts", f.typ)
	case !first && !s.inParts:
		return nil, false, fmt.Errorf("frame type %d without a first part", f.typ)
	case !first && (f.txid != s.of.txid || f.flags != s.of.flags):
		return nil, false, fmt.Errorf("part of txid %d flags %x in a record of txid %d flags %x", f.txid, f.flags, s.of.txid, s.of.flags)
	}
	switch f.typ {
	case frameWhole:
		return part, true, nil
	case frameFirst:
		s.parts, s.inParts, s.of = s.parts[:0], true, f
	}
	if len(s.parts)+len(part) > s.recordMax {
		return nil, false, fmt.Errorf("record above %d bytes", s.recordMax)
	}
	s.parts = append(s.parts, part...)
	s.inParts = f.typ != frameLast
	return s.parts, !s.inParts, nil
}

// finish decides about the end of the chain at pos, where the batch is bad.
func (s *scanner) finish(pos Pos, bad *badBatch) error {
	w, err := s.witness(pos)
	if err != nil {
		return err
	}
	s.res.MaxHorizon = max(s.res.MaxHorizon, w)
	for len(s.window) > 0 {
		if err := s.deliver(); err != nil {
			return err
		}
	}
	s.res.Reason = fmt.Sprintf("batch %d at block %d: want %s, got %s", pos.Seq, s.cfg.Start+pos.Block, bad.want, bad.got)
	if planted.On(planted.LogHorizon) {
		w = 0
	}
	if w >= pos.Seq {
		s.res.Damage = &Damage{
			Seq: pos.Seq, Block: devices.Block(s.cfg.Start + pos.Block),
			Kind: "log batch", Want: bad.want, Got: bad.got,
		}
		return nil
	}
	s.res.Torn, s.res.Partial = bad.torn, s.inParts
	return nil
}
