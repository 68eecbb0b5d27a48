package wal

import (
	"context"
	"fmt"
	"sync"

	"ebofs/devices"
)

const (
	readBytes = 1 << 20 // of one read ahead
	maxTries  = 3       // of a read or checksum that is wrong (a bad cable comes and goes)
)

// reader reads the ring in large pieces and remembers the last one.
type reader struct {
	ctx    context.Context
	dev    devices.Device
	start  uint64
	blocks uint64

	mem *[]byte // what buf is a part of
	buf []byte  // memory for readBytes and a batch that begins in its last block
	at  uint64  // first block in buf
	n   uint64  // blocks in buf
}

// readBuffers are the memory of readers. Clearing fresh memory for each would
// cost as much as reading a short log.
var readBuffers = sync.Pool{New: func() any {
	p := alignedBytes(readBytes + MaxBatch)
	return &p
}}

// done gives the memory back: nothing from get may be used after it.
func (r *reader) done() {
	if r.mem != nil {
		readBuffers.Put(r.mem)
		r.mem, r.buf, r.n = nil, nil, 0
	}
}

// get returns n blocks from offset off of the ring, which they do not leave;
// valid until the next call. ahead allows to read more than asked for.
func (r *reader) get(off, n uint64, ahead bool) ([]byte, error) {
	if off >= r.at && off+n <= r.at+r.n {
		return r.buf[(off-r.at)*devices.BlockSize:][:n*devices.BlockSize], nil
	}
	if r.buf == nil {
		r.mem = readBuffers.Get().(*[]byte)
		r.buf = *r.mem
	}
	want := n
	if ahead {
		want = min(n-1+readBytes/devices.BlockSize, r.blocks-off)
	}
	r.n = 0
	p := r.buf[:want*devices.BlockSize]
	err := r.dev.Read(r.ctx, devices.Block(r.start+off), devices.Vec{p})
	if err != nil && want > n {
		p = p[:n*devices.BlockSize]
		err = r.dev.Read(r.ctx, devices.Block(r.start+off), devices.Vec{p})
	}
	if err != nil {
		return nil, err
	}
	r.at, r.n = off, uint64(len(p))/devices.BlockSize
	return p[:n*devices.BlockSize], nil
}

// forget makes the next get read the device.
func (r *reader) forget() { r.n = 0 }

// badBatch says why a batch does not continue the log.
type badBatch struct {
	want, got string
	torn      bool // it looks like a write of this incarnation that was not finished
	newer     bool // it is whole, but of a format this reader does not know
}

// next reads the batch at pos and checks that it continues prev; without prev
// it is the first one. What is wrong is read again before it is believed.
func (s *scanner) next(pos Pos, prev *header) (h header, p []byte, bad *badBatch) {
	for try := range maxTries {
		if h, p, bad = s.load(pos, prev, try == 0); bad == nil {
			break
		}
		s.ring.forget()
	}
	return h, p, bad
}

func (s *scanner) load(pos Pos, prev *header, ahead bool) (h header, p []byte, bad *badBatch) {
	p, err := s.ring.get(pos.Block, 1, ahead)
	if err != nil {
		return h, nil, &badBatch{want: "batch", got: err.Error(), torn: true}
	}
	if h, err = decodeHeader(p); err != nil {
		return h, nil, &badBatch{want: "batch header", got: err.Error()}
	}
	differ := func(what string, want, got any) *badBatch {
		return &badBatch{want: fmt.Sprintf("%s %v", what, want), got: fmt.Sprint(got)}
	}
	switch {
	case h.fsid != s.fsid:
		return h, nil, differ("fsid", fmt.Sprintf("%016x", s.fsid), fmt.Sprintf("%016x", h.fsid))
	case h.ring != s.cfg.Ring:
		return h, nil, differ("ring", s.cfg.Ring, h.ring)
	case h.incarnation != s.cfg.Incarnation:
		return h, nil, differ("incarnation", s.cfg.Incarnation, h.incarnation)
	case h.seq != pos.Seq:
		return h, nil, differ("seq", pos.Seq, h.seq)
	case pos.Block+h.blocks() > s.cfg.Blocks:
		return h, nil, differ("end within block", s.cfg.Blocks, pos.Block+h.blocks())
	}
	if p, err = s.ring.get(pos.Block, h.blocks(), ahead); err != nil {
		return h, nil, &badBatch{want: "batch", got: err.Error(), torn: true}
	}
	if again, err := decodeHeader(p); err != nil || again != h {
		return h, nil, &badBatch{want: "the same header when read again", got: "another"}
	}
	if err := h.checkSum(p); err != nil {
		return h, nil, &badBatch{want: "batch with its checksum", got: err.Error(), torn: true}
	}
	if h.minReader > formatVersion {
		bad := differ("reader version", h.minReader, formatVersion)
		bad.newer = true
		return h, nil, bad
	}
	if err := h.checkSense(); err != nil {
		return h, nil, &badBatch{want: "sensible header", got: err.Error()}
	}
	if prev != nil && h.prev != prev.crc {
		return h, nil, differ("chain", fmt.Sprintf("%08x", prev.crc), fmt.Sprintf("%08x", h.prev))
	}
	return h, p, nil
}

// maxUnread is how many unreadable blocks a torn group may leave: a write makes
// at most one sector unreadable (F2), and a group is at most two writes and a
// filler on either side of the ring's end.
const maxUnread = 4

// witness looks behind the bad batch at pos for valid batches of the same
// incarnation and returns the highest horizon they name; 0 without any. From
// blocks that cannot be read nothing is concluded: more of them than a torn
// group explains are an error.
func (s *scanner) witness(pos Pos) (uint64, error) {
	high, unread := uint64(0), 0
	var failed error
	for i := uint64(1); i < s.cfg.Blocks && i <= witnessBytes/devices.BlockSize; i++ {
		off := (pos.Block + i) % s.cfg.Blocks
		p, err := s.ring.get(off, 1, true)
		if err != nil {
			if err := s.ring.ctx.Err(); err != nil {
				return 0, err
			}
			unread, failed = unread+1, err
			continue
		}
		h, err := decodeHeader(p)
		if err != nil || h.fsid != s.fsid || h.ring != s.cfg.Ring || h.incarnation != s.cfg.Incarnation ||
			h.seq <= pos.Seq || h.checkSense() != nil || h.horizon() < pos.Seq || off+h.blocks() > s.cfg.Blocks {
			continue
		}
		if p, err = s.ring.get(off, h.blocks(), true); err == nil && h.checkSum(p) == nil {
			high = max(high, h.horizon())
		}
	}
	if high < pos.Seq && unread > maxUnread {
		return 0, fmt.Errorf("look for the end of the log behind batch %d: %d blocks cannot be read: %w", pos.Seq, unread, failed)
	}
	return high, nil
}
