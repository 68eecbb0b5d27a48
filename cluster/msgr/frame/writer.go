package frame

import (
	"encoding/binary"
	"io"
	"net"

	"ebofs/cluster/denc"
)

const (
	// copyBelow: shorter segments are copied to their neighbours, so that most
	// batches are one piece of memory.
	copyBelow = 4 << 10

	// keepBytes is how large a buffer a Writer holds on to between batches.
	keepBytes = 512 << 10
)

// Writer collects frames and writes them at once. Segments of 4 KiB and more are
// not copied in crc mode: they must not change before Flush has returned.
type Writer struct {
	secure *stream // nil: crc
	buf    []byte
	begin  int // of the part of buf that is not in pieces yet
	pieces net.Buffers
	size   int

	record     bool
	transcript []byte
}

// NewWriter returns a Writer in crc mode that keeps a transcript.
func NewWriter() *Writer { return &Writer{record: true} }

// Transcript returns all that was added, and ends keeping it.
func (w *Writer) Transcript() []byte {
	t := w.transcript
	w.record, w.transcript = false, nil
	return t
}

// Size returns how many bytes Flush would write.
func (w *Writer) Size() int { return w.size + len(w.buf) - w.begin }

// Banner adds our banner.
func (w *Writer) Banner() {
	w.buf = AppendBanner(w.buf)
	w.note(len(w.buf) - BannerBytes)
}

// Add adds a frame.
func (w *Writer) Add(tag Tag, first []byte, rest ...[]byte) error {
	h := Head{Tag: tag}
	h.Lengths[0] = uint32(len(first))
	for i, s := range rest {
		h.Lengths[i+1] = uint32(len(s))
	}
	at := len(w.buf)
	var err error
	if w.secure == nil {
		w.plain(&h, first, rest)
	} else {
		err = w.sealed(&h, first, rest)
	}
	w.note(at)
	return err
}

// Control adds a control frame.
func (w *Writer) Control(tag Tag, c interface{ Encode(*denc.Encoder) }) error {
	var e denc.Encoder
	c.Encode(&e)
	return w.Add(tag, e.Bytes())
}

// note records buf[at:] while a transcript is kept: control frames, which are
// never cut into pieces.
func (w *Writer) note(at int) {
	if w.record {
		w.transcript = append(w.transcript, w.buf[at:]...)
	}
}

func (w *Writer) plain(h *Head, first []byte, rest [][]byte) {
	w.buf = h.appendPreamble(w.buf)
	if len(first) > 0 {
		w.buf = append(w.buf, first...)
		w.buf = binary.LittleEndian.AppendUint32(w.buf, denc.CRC(^uint32(0), first))
	}
	n := h.segments()
	if n == 1 {
		return
	}
	epilogue := [epilogueBytes]byte{lateComplete}
	for i, s := range rest[:n-1] {
		binary.LittleEndian.PutUint32(epilogue[1+4*i:], denc.CRC(^uint32(0), s))
		if len(s) < copyBelow {
			w.buf = append(w.buf, s...)
			continue
		}
		w.cut()
		w.pieces = append(w.pieces, s)
		w.size += len(s)
	}
	w.buf = append(w.buf, epilogue[:]...)
}

func (w *Writer) sealed(h *Head, first []byte, rest [][]byte) (err error) {
	at := len(w.buf)
	w.buf = h.appendPreamble(w.buf)
	inline := min(len(first), inlineBytes)
	w.buf = append(w.buf, first[:inline]...)
	w.pad(inlineBytes - inline)
	if w.buf, err = w.secure.seal(w.buf, at); err != nil {
		return err
	}
	if more := first[inline:]; len(more) > 0 {
		at = len(w.buf)
		w.padded(more)
		if w.buf, err = w.secure.seal(w.buf, at); err != nil {
			return err
		}
	}
	if n := h.segments(); n > 1 {
		at = len(w.buf)
		for _, s := range rest[:n-1] {
			w.padded(s)
		}
		w.buf = append(w.buf, lateComplete)
		w.pad(padTo - 1)
		w.buf, err = w.secure.seal(w.buf, at)
	}
	return err
}

// padded appends s and zeros up to a whole cipher block.
func (w *Writer) padded(s []byte) {
	w.buf = append(w.buf, s...)
	w.pad(int(padded(int64(len(s)))) - len(s))
}

func (w *Writer) pad(n int) {
	var zeros [inlineBytes]byte
	w.buf = append(w.buf, zeros[:n]...)
}

// cut makes what buf has gathered a piece.
func (w *Writer) cut() {
	if len(w.buf) > w.begin {
		w.size += len(w.buf) - w.begin
		w.pieces = append(w.pieces, w.buf[w.begin:len(w.buf):len(w.buf)])
		w.begin = len(w.buf)
	}
}

// Flush writes all frames that were added, and forgets them even if it fails.
func (w *Writer) Flush(to io.Writer) error {
	var err error
	if len(w.pieces) == 0 {
		if len(w.buf) > 0 {
			_, err = to.Write(w.buf)
		}
	} else {
		w.cut()
		// WriteTo consumes the slice header it is called on.
		pieces := w.pieces
		_, err = pieces.WriteTo(to)
		clear(w.pieces)
		w.pieces = w.pieces[:0]
	}
	if w.buf = w.buf[:0]; cap(w.buf) > keepBytes {
		w.buf = nil
	}
	w.begin, w.size = 0, 0
	return err
}
