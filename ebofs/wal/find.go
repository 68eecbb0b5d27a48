package wal

import (
	"context"
	"encoding/binary"

	"ebofs/devices"
)

// Found is what FindTail makes of a ring about which nothing is known.
type Found struct {
	Incarnation uint64 // the newest there is
	Tail        Pos    // of its oldest batch from which all to the newest are there
	First       uint64 // lowest txid from there on; 0: no record
	Last        uint64 // highest txid, about
	Whole       bool   // the tail is the one the newest batch names
}

// FindTail looks for the newest log in a ring when the superblock that says where
// it begins is lost. cfg.Incarnation is ignored. ok is false if there is no batch of
// this store. Records that a checkpoint has already may be among what it finds.
func FindTail(ctx context.Context, dev devices.Device, cfg Config) (f Found, ok bool, err error) {
	cfg.Incarnation = 1
	if err := cfg.check(dev, Pos{Seq: 1}); err != nil {
		return f, false, err
	}
	type place struct {
		header
		at uint64
	}
	fsid := binary.LittleEndian.Uint64(cfg.FSID[:])
	r := reader{ctx: ctx, dev: dev, start: cfg.Start, blocks: cfg.Blocks}
	defer r.done()
	bySeq := make(map[uint64]place) // of the newest incarnation
	var top place
	for at := uint64(0); at < cfg.Blocks; {
		step := uint64(1)
		p, err := r.get(at, 1, true)
		if err != nil {
			if ctx.Err() != nil {
				return f, false, ctx.Err()
			}
			r.forget()
			at++
			continue
		}
		h, err := decodeHeader(p)
		if err == nil && h.fsid == fsid && h.ring == cfg.Ring && h.checkSense() == nil && h.blocks() <= cfg.Blocks-at && h.incarnation >= top.incarnation {
			if p, err = r.get(at, h.blocks(), true); err == nil && h.checkSum(p) == nil {
				step = h.blocks()
				if h.incarnation > top.incarnation {
					clear(bySeq)
					top = place{}
				}
				x := place{h, at}
				bySeq[h.seq] = x
				if h.seq > top.seq {
					top = x
				}
			}
		}
		at += step
	}
	if top.seq == 0 {
		return f, false, ctx.Err()
	}
	f = Found{Incarnation: top.incarnation}
	first := top
	note := func(h *header) {
		if h.txid == 0 {
			return
		}
		if f.First == 0 || h.txid < f.First {
			f.First = h.txid
		}
		f.Last = max(f.Last, h.txid+uint64(h.span))
	}
	note(&first.header)
	for first.seq+uint64(top.back) > top.seq {
		prev, ok := bySeq[first.seq-1]
		if !ok || prev.crc != first.prev {
			break
		}
		first = prev
		note(&first.header)
	}
	f.Whole = first.seq+uint64(top.back) == top.seq
	f.Tail = Pos{Block: first.at, Seq: first.seq}
	return f, true, nil
}
