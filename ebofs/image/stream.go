package image

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"github.com/klauspost/compress/zstd"

	"ebofs/ebofs/layout"
)

var le = binary.LittleEndian

// ErrNoImage: the file is not an image.
var ErrNoImage = errors.New("not an image of a store")

// ErrCorrupt matches every error about a damaged or truncated image.
var ErrCorrupt = layout.ErrCorrupt

// Header begins an image; everything behind it is one zstd frame.
//
//	off len field       little-endian; golden: docs/format/image.md
//	  0   8 magic       "EBOFSimg"
//	  8   4 crc         CRC-32C of [12:64)
//	 12   1 version     1
//	 13   1 min reader  lowest version of a program that may read it
//	 14   1 compression 1: zstd, window at most 1 MiB
//	 15   1 flags       1 names as they were, 2 the log is on a device that is not here
//	 16  16 fsid
//	 32   8 made        Unix time in nanoseconds
//	 40  24 reserved, zero
type Header struct {
	Flags Flags
	FSID  layout.UUID
	Made  time.Time
}

// Flags say what an image holds.
type Flags uint8

// The flags.
const (
	PlainNames Flags = 1 << 0 // names were not scrambled
	NoLog      Flags = 1 << 1 // the log is on a device that is not in the image
)

const (
	imageMagic   = "EBOFSimg"
	imageVersion = 1
	imageHeader  = 64
	withZstd     = 1
	windowBytes  = 1 << 20
)

func (h *Header) encode() []byte {
	p := make([]byte, imageHeader)
	copy(p, imageMagic)
	p[12], p[13], p[14], p[15] = imageVersion, imageVersion, withZstd, byte(h.Flags)
	copy(p[16:], h.FSID[:])
	le.PutUint64(p[32:], uint64(h.Made.UnixNano()))
	le.PutUint32(p[8:], layout.CRC(p[12:]))
	return p
}

func decodeHeader(p []byte) (h Header, err error) {
	switch {
	case string(p[:8]) != imageMagic:
		return h, ErrNoImage
	case le.Uint32(p[8:]) != layout.CRC(p[12:imageHeader]):
		return h, fmt.Errorf("image header: crc %08x, want %08x: %w", layout.CRC(p[12:imageHeader]), le.Uint32(p[8:]), ErrCorrupt)
	case p[13] > imageVersion || p[14] != withZstd:
		return h, fmt.Errorf("image version %d, compression %d: %w", p[13], p[14], layout.ErrNewer)
	}
	return Header{Flags: Flags(p[15]), FSID: layout.UUID(p[16:32]), Made: time.Unix(0, int64(le.Uint64(p[32:])))}, nil
}

// Kind of an entry.
type Kind uint8

// The kinds.
const (
	Device   Kind = 1 // a device and its size in blocks; before all entries about it
	Blocks   Kind = 2 // blocks and what they hold
	Zeros    Kind = 3 // blocks of zeros
	Withheld Kind = 4 // blocks that could not be read, or are no metadata
	End      Kind = 5 // the last one: Block is the number of entries before it
)

// MaxEntryBlocks is how many blocks an entry with content has at most.
const MaxEntryBlocks = 256

// Entry is one item of the stream. A later entry overrides an earlier one.
//
//	off len field   little-endian
//	  0   1 kind
//	  1   1 device  index
//	  2   2 zero
//	  4   4 blocks  of Blocks at most 256, of the others any number
//	  8   8 block   the first; of a Device its size, of the End the entries before it
//	 16   4 crc     CRC-32C of [0:16) and the content
//	 20     content, of Blocks only: blocks × 4096
type Entry struct {
	Kind   Kind
	Device uint8
	Blocks uint32
	Block  uint64
	Data   []byte // valid until the next entry is read
}

const entryHeader = 20

func (e *Entry) header(p []byte) {
	p[0], p[1], p[2], p[3] = byte(e.Kind), e.Device, 0, 0
	le.PutUint32(p[4:], e.Blocks)
	le.PutUint64(p[8:], e.Block)
	le.PutUint32(p[16:], crc32.Update(layout.CRC(p[:16]), castagnoli, e.Data))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// check says what is wrong with an entry, given the sizes of the devices before it.
func (e *Entry) check(sizes map[uint8]uint64, entries uint64) error {
	size, known := sizes[e.Device]
	switch {
	case e.Kind == End && e.Block == entries && e.Blocks == 0 && e.Device == 0:
	case e.Kind == Device && !known && e.Device < layout.MaxDevices && e.Blocks == 0 && e.Block >= layout.MinLogDeviceBytes/layout.BlockSize && e.Block <= layout.MaxBlock:
	case e.Kind >= Blocks && e.Kind <= Withheld && known && e.Blocks > 0 && e.Block < size && uint64(e.Blocks) <= size-e.Block && (e.Kind != Blocks || e.Blocks <= MaxEntryBlocks):
	default:
		return fmt.Errorf("image entry %d: kind %d, blocks %d:%d~%d of a device of %d: %w", entries, e.Kind, e.Device, e.Block, e.Blocks, size, ErrCorrupt)
	}
	return nil
}

// writer writes a stream.
type writer struct {
	z       *zstd.Encoder
	head    [entryHeader]byte
	entries uint64
}

func newWriter(w io.Writer, h Header) (*writer, error) {
	if _, err := w.Write(h.encode()); err != nil {
		return nil, err
	}
	z, err := zstd.NewWriter(w, zstd.WithWindowSize(windowBytes), zstd.WithEncoderConcurrency(1))
	return &writer{z: z}, err
}

func (w *writer) write(e Entry) error {
	e.header(w.head[:])
	w.entries++
	if _, err := w.z.Write(w.head[:]); err != nil {
		return err
	}
	_, err := w.z.Write(e.Data)
	return err
}

// end completes the stream.
func (w *writer) end() error {
	return errors.Join(w.write(Entry{Kind: End, Block: w.entries}), w.z.Close())
}

// Reader reads a stream.
type Reader struct {
	Header Header

	z       *zstd.Decoder
	sizes   map[uint8]uint64
	entries uint64
	buf     []byte
	file    *file
	done    bool
}

// file tells errors of reading from errors of what was read.
type file struct {
	io.Reader
	err error
}

// Read remembers what went wrong.
func (f *file) Read(p []byte) (int, error) {
	n, err := f.Reader.Read(p)
	if err != nil && !short(err) {
		f.err = err
	}
	return n, err
}

// NewReader reads the header of an image. Close the reader.
func NewReader(r io.Reader) (*Reader, error) {
	var p [imageHeader]byte
	if _, err := io.ReadFull(r, p[:]); err != nil && !short(err) {
		return nil, err
	}
	f := &file{Reader: r}
	h, err := decodeHeader(p[:])
	if err != nil {
		return nil, err
	}
	z, err := zstd.NewReader(f, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(windowBytes), zstd.WithDecoderMaxMemory(1<<62))
	if err != nil {
		return nil, err
	}
	return &Reader{Header: h, z: z, file: f, sizes: make(map[uint8]uint64)}, nil
}

func short(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// Close gives up the reader's memory.
func (r *Reader) Close() { r.z.Close() }

// Next returns the next entry; io.EOF behind the last one. An error other than
// ErrCorrupt is the file's.
func (r *Reader) Next() (e Entry, err error) {
	if r.done {
		return e, io.EOF
	}
	var p [entryHeader]byte
	if err := r.full(p[:]); err != nil {
		return e, err
	}
	e = Entry{Kind: Kind(p[0]), Device: p[1], Blocks: le.Uint32(p[4:]), Block: le.Uint64(p[8:])}
	if err := e.check(r.sizes, r.entries); err != nil {
		return e, err
	}
	if e.Kind == Blocks {
		n := int(e.Blocks) * layout.BlockSize
		if cap(r.buf) < n {
			r.buf = make([]byte, n)
		}
		e.Data = r.buf[:n]
		if err := r.full(e.Data); err != nil {
			return e, err
		}
	}
	if got := crc32.Update(layout.CRC(p[:16]), castagnoli, e.Data); got != le.Uint32(p[16:]) || p[2] != 0 || p[3] != 0 {
		return e, fmt.Errorf("image entry %d: crc %08x, want %08x: %w", r.entries, got, le.Uint32(p[16:]), ErrCorrupt)
	}
	switch e.Kind {
	case Device:
		r.sizes[e.Device] = e.Block
	case End:
		if n, err := r.z.Read(p[:1]); n > 0 || err != io.EOF {
			return e, fmt.Errorf("image goes on, or fails its checksum, behind its end: %w", ErrCorrupt)
		}
		r.done = true
	}
	r.entries++
	return e, nil
}

// full fills p from the stream.
func (r *Reader) full(p []byte) error {
	_, err := io.ReadFull(r.z, p)
	switch {
	case err == nil:
		return nil
	case short(err):
		return fmt.Errorf("image ends after %d entries: %w", r.entries, ErrCorrupt)
	case r.file.err != nil:
		return r.file.err
	}
	return fmt.Errorf("image, after %d entries: %w: %w", r.entries, err, ErrCorrupt)
}
