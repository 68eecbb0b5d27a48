package wal

import (
	"context"
	"encoding/binary"

	"ebofs/devices"
)

// Edit copies a log while changing its records: whole records are given to
// Record, which may change them in place, and every block that a Scan of the copy
// has to see to come to the same verdict is given to Write. Chain and checksums of
// the copy are right where they were right and wrong where they were wrong.
// Nothing but headers is kept of what is not part of a valid batch in the chain.
type Edit struct {
	Record func(p []byte, flags uint16)
	// Write is given whole blocks, at an offset in the ring.
	Write func(off uint64, p []byte) error
	// Unread is told of blocks that cannot be read.
	Unread func(off, blocks uint64) error

	crcs map[uint32]uint32 // of batches: as it was, as it is
}

// edited is a batch of the chain whose records may still be changed.
type edited struct {
	h   header
	off uint64
	buf []byte
}

// Run goes over the log from tail on. It may be called for several tails of one
// ring, the oldest first.
func (e *Edit) Run(ctx context.Context, dev devices.Device, cfg Config, tail Pos) error {
	if err := cfg.check(dev, tail); err != nil {
		return err
	}
	if e.crcs == nil {
		e.crcs = make(map[uint32]uint32)
	}
	s := &scanner{cfg: cfg, fsid: binary.LittleEndian.Uint64(cfg.FSID[:]), ring: reader{ctx: ctx, dev: dev, start: cfg.Start, blocks: cfg.Blocks}}
	pos, used := tail, uint64(0)
	var prev *header
	var held []edited
	var parts [][]byte // of the record being put together
	size := 0
	for {
		h, p, bad := s.next(pos, prev)
		if err := ctx.Err(); err != nil {
			return err
		}
		if bad != nil || used+h.blocks() > cfg.Blocks {
			break
		}
		b := edited{h, pos.Block, append([]byte(nil), p...)}
		used += h.blocks()
		held = append(held, b)
		for rest := b.buf[headerBytes:h.bytes]; len(rest) > 0; {
			f, data, tail, err := decodeFrame(rest)
			if err != nil {
				clear(rest)
				break
			}
			rest = tail
			first := f.typ == frameWhole || f.typ == frameFirst
			if first || len(parts) == 0 || size+len(data) > maxRecord {
				clearAll(parts) // a record without an end
				parts, size = parts[:0], 0
				if !first {
					clear(data)
					continue
				}
			}
			parts, size = append(parts, data), size+len(data)
			if f.typ == frameWhole || f.typ == frameLast {
				e.record(parts, size, f.flags)
				parts, size = parts[:0], 0
			}
		}
		if len(parts) == 0 {
			if err := e.write(held); err != nil {
				return err
			}
			held = held[:0]
		}
		pos = Pos{Block: (pos.Block + h.blocks()) % cfg.Blocks, Seq: pos.Seq + 1}
		if h.typ == typeFiller {
			used += cfg.Blocks - (b.off + h.blocks())
			pos.Block = 0
		}
		prev = &b.h
	}
	clearAll(parts)
	if err := e.write(held); err != nil {
		return err
	}
	return e.rest(s, pos)
}

func clearAll(parts [][]byte) {
	for _, p := range parts {
		clear(p)
	}
}

// record changes one record, which may lie in parts.
func (e *Edit) record(parts [][]byte, size int, flags uint16) {
	if len(parts) == 1 {
		e.Record(parts[0], flags)
		return
	}
	whole := make([]byte, 0, size)
	for _, p := range parts {
		whole = append(whole, p...)
	}
	e.Record(whole, flags)
	for _, p := range parts {
		whole = whole[copy(p, whole):]
	}
}

// write seals batches and passes them on.
func (e *Edit) write(bs []edited) error {
	for i := range bs {
		b := &bs[i]
		if now, ok := e.crcs[b.h.prev]; ok {
			binary.LittleEndian.PutUint32(b.buf[40:], now)
		}
		if err := e.seal(b); err != nil {
			return err
		}
	}
	return nil
}

// seal makes the checksum of a valid batch right again.
func (e *Edit) seal(b *edited) error {
	h, err := decodeHeader(b.buf)
	if err != nil {
		return err
	}
	was := h.crc
	e.crcs[was] = h.seal(b.buf)
	return e.Write(b.off, b.buf)
}

// rest copies what a reader looks at behind the end of the chain: what stands in
// place of the next batch, and every block that may be a witness.
func (e *Edit) rest(s *scanner, pos Pos) error {
	for i := uint64(0); i < s.cfg.Blocks && i <= witnessBytes/devices.BlockSize; {
		if err := s.ring.ctx.Err(); err != nil {
			return err
		}
		off := (pos.Block + i) % s.cfg.Blocks
		n, err := e.leftover(s, off, pos.Seq)
		if err != nil {
			return err
		}
		i += n
	}
	return nil
}

// leftover copies one batch, or block, that is not part of the chain, which ends
// before batch next. What an earlier lap left is no witness, and may be the chain.
func (e *Edit) leftover(s *scanner, off, next uint64) (blocks uint64, err error) {
	p, err := s.ring.get(off, 1, true)
	if err != nil {
		return 1, e.Unread(off, 1)
	}
	h, err := decodeHeader(p)
	if err != nil {
		return 1, nil
	}
	if h.fsid == s.fsid && h.incarnation == s.cfg.Incarnation && h.seq < next {
		return 1, nil
	}
	b := edited{h, off, append([]byte(nil), p...)}
	if off+h.blocks() <= s.cfg.Blocks {
		if p, err := s.ring.get(off, h.blocks(), true); err == nil && h.checkSum(p) == nil {
			b.buf = append(b.buf[:0], p...)
			for rest := b.buf[headerBytes:h.bytes]; len(rest) > 0; {
				_, data, tail, err := decodeFrame(rest)
				if err != nil {
					clear(rest)
					break
				}
				clear(data)
				rest = tail
			}
			return h.blocks(), e.seal(&b)
		}
	}
	clear(b.buf[headerBytes:])
	return 1, e.Write(off, b.buf)
}
