package frame

import (
	"encoding/binary"

	"ebofs/cluster/denc"
)

const (
	preambleBytes = 32
	crcBytes      = 4
	epilogueBytes = 13 // crc mode
)

// Head is what a preamble says: a tag and the lengths of the segments.
type Head struct {
	Tag     Tag
	Lengths [maxSegments]uint32
}

// segments returns how many segments the frame has: up to the last that is not
// empty, and at least one.
func (h *Head) segments() int {
	n := maxSegments
	for n > 1 && h.Lengths[n-1] == 0 {
		n--
	}
	return n
}

// Bytes returns the length of all segments.
func (h *Head) Bytes() int64 {
	var n int64
	for _, l := range h.Lengths {
		n += int64(l)
	}
	return n
}

// appendPreamble appends h:
//
//	off len field    little-endian
//	  0   1 tag
//	  1   1 number of segments
//	  2 4×6 u32 length, u16 alignment; zero beyond the last segment
//	 26   2 reserved, zero
//	 28   4 crc of [0:28), seed 0
func (h *Head) appendPreamble(p []byte) []byte {
	at, n := len(p), h.segments()
	p = append(p, byte(h.Tag), byte(n))
	for i := range maxSegments {
		align := uint16(0)
		if i < n {
			align = controlAlign
		}
		if i == maxSegments-1 && i < n {
			align = dataAlign
		}
		p = binary.LittleEndian.AppendUint32(p, h.Lengths[i])
		p = binary.LittleEndian.AppendUint16(p, align)
	}
	p = append(p, 0, 0)
	return binary.LittleEndian.AppendUint32(p, denc.CRC(0, p[at:]))
}

// decodePreamble reads what appendPreamble wrote. The alignments are the
// sender's business.
func decodePreamble(p []byte) (h Head, err error) {
	if got, want := denc.CRC(0, p[:28]), binary.LittleEndian.Uint32(p[28:]); got != want {
		return h, bad("preamble: crc %08x, want %08x", got, want)
	}
	n := int(p[1])
	if n < 1 || n > maxSegments {
		return h, bad("preamble: %d segments, want 1 to %d", n, maxSegments)
	}
	h.Tag = Tag(p[0])
	for i := range maxSegments {
		h.Lengths[i] = binary.LittleEndian.Uint32(p[2+6*i:])
	}
	switch {
	case h.Tag == 0 || h.Tag > lastTag:
		return h, bad("preamble: unknown %v", h.Tag)
	case h.segments() != n:
		return h, bad("preamble: %d segments, and %d of them have a length", n, h.segments())
	case h.Tag != Message && n != 1:
		return h, bad("preamble: %v of %d segments, want 1", h.Tag, n)
	case p[26] != 0 || p[27] != 0:
		return h, bad("preamble: reserved bytes %02x%02x, want zero", p[26], p[27])
	}
	return h, nil
}

// late checks the status behind the segments. An aborted frame is to be dropped.
func late(status byte) (aborted bool, err error) {
	switch status & 0x0f {
	case lateComplete:
		return false, nil
	case lateAbort:
		return true, nil
	}
	return false, bad("epilogue: status %02x", status)
}
