package frame

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"

	"ebofs/cluster/denc"
)

// SmallBuffer is the read buffer of a connection that has not authenticated.
const SmallBuffer = 4 << 10

// earlyBytes of a body have to be there before memory is taken for all of it.
const earlyBytes = 16 << 10

// bigBuffer is the read buffer of an authenticated connection: several small
// messages in one call, and large bodies past it.
const bigBuffer = 32 << 10

// maxTranscript bounds what is kept of a handshake for the signatures.
const maxTranscript = 512 << 10

// Reader takes frames off a stream. Head and Body alternate.
type Reader struct {
	src     *source
	br      *bufio.Reader
	head    Head
	secure  *stream // nil: crc
	scratch []byte  // segment 0, or the block that holds its begin
	inline  []byte  // of segment 0, when secure

	record     bool
	transcript []byte
}

// NewReader returns a Reader in crc mode that keeps a transcript.
func NewReader(r io.Reader) *Reader {
	src := &source{r: r}
	return &Reader{src: src, br: bufio.NewReaderSize(src, SmallBuffer), record: true}
}

// Transcript returns all that was read, and ends keeping it.
func (r *Reader) Transcript() []byte {
	t := r.transcript
	r.record, r.transcript = false, nil
	return t
}

// Buffered returns how many bytes can be read without waiting.
func (r *Reader) Buffered() int { return r.br.Buffered() }

// Grow is for a peer that has authenticated: it takes larger reads.
func (r *Reader) Grow() {
	buffered, _ := r.br.Peek(r.br.Buffered())
	r.src.first = append([]byte(nil), buffered...)
	r.br = bufio.NewReaderSize(r.src, bigBuffer)
}

// Wait returns when a byte can be read.
func (r *Reader) Wait() error {
	_, err := r.br.Peek(1)
	return err
}

// full reads len(p) bytes and records them.
func (r *Reader) full(p []byte) error {
	n, err := io.ReadFull(r.br, p)
	if err == nil && r.record {
		if len(r.transcript)+n > maxTranscript {
			return bad("handshake of more than %d bytes", maxTranscript)
		}
		r.transcript = append(r.transcript, p...)
	}
	return err
}

// room returns n bytes of the reused buffer.
func (r *Reader) room(n int) []byte {
	if cap(r.scratch) < n {
		r.scratch = make([]byte, n)
	}
	return r.scratch[:n]
}

// Head reads the preamble of the next frame. io.EOF means that the stream ended
// between frames.
func (r *Reader) Head() (Head, error) {
	var err error
	if r.secure == nil {
		p := r.room(preambleBytes)
		if err = r.full(p); err != nil {
			return Head{}, err
		}
		r.head, err = decodePreamble(p)
		return r.head, err
	}
	block := r.room(headBlock)
	if err = r.full(block); err != nil {
		return Head{}, err
	}
	plain, err := r.secure.open(block)
	if err != nil {
		return Head{}, err
	}
	if r.head, err = decodePreamble(plain[:preambleBytes]); err == nil {
		r.inline = plain[preambleBytes:]
	}
	return r.head, err
}

// Frame is what Body read.
type Frame struct {
	Head
	// First is segment 0; it is good until the next Head.
	First []byte
	// Rest is segments 1 to 3, parts of Body; the receiver owns them.
	Rest [3][]byte
	// Body may be freed when nobody looks at Rest any more; nil if there is none.
	Body *Buffer
	// Aborted: the sender gave up on the frame, which is to be ignored.
	Aborted bool
}

// Body reads the frame that Head has announced. Its caller has found the lengths
// acceptable.
func (r *Reader) Body() (Frame, error) {
	f := Frame{Head: r.head}
	var err error
	if r.secure == nil {
		err = r.plainBody(&f)
	} else {
		err = r.secureBody(&f)
	}
	if err != nil {
		f.Body.Free()
		return Frame{}, unexpected(err)
	}
	return f, nil
}

func (r *Reader) plainBody(f *Frame) error {
	if n := int(f.Lengths[0]); n > 0 {
		if err := r.early(n + crcBytes); err != nil {
			return err
		}
		p := r.room(n + crcBytes)
		if err := r.full(p); err != nil {
			return err
		}
		f.First = p[:n:n]
		if got, want := denc.CRC(^uint32(0), f.First), binary.LittleEndian.Uint32(p[n:]); got != want {
			return bad("segment 0: crc %08x, want %08x", got, want)
		}
	}
	if f.segments() == 1 {
		return nil
	}
	l := f.Lengths
	p, err := r.rest(f, int64(l[1])+int64(l[2])+int64(l[3]), int64(l[1])+int64(l[2]))
	if err != nil {
		return err
	}
	var epilogue [epilogueBytes]byte
	if err := r.full(epilogue[:]); err != nil {
		return err
	}
	for i := range f.Rest {
		f.Rest[i], p = cut(p, int64(l[i+1]))
		want := binary.LittleEndian.Uint32(epilogue[1+4*i:])
		if i+1 >= f.segments() {
			if want != 0 {
				return bad("segment %d: crc %08x of a segment that is not there", i+1, want)
			}
			continue
		}
		if got := denc.CRC(^uint32(0), f.Rest[i]); got != want {
			return bad("segment %d: crc %08x, want %08x", i+1, got, want)
		}
	}
	f.Aborted, err = late(epilogue[0])
	return err
}

func (r *Reader) secureBody(f *Frame) error {
	n := int64(f.Lengths[0])
	if n <= inlineBytes {
		f.First = r.inline[:n:n]
		if !zero(r.inline[n:]) {
			return bad("segment 0: padding is not zero")
		}
	} else {
		more := padded(n) - inlineBytes + tagBytes
		if err := r.early(int(more)); err != nil {
			return err
		}
		p := make([]byte, inlineBytes+more)
		copy(p, r.inline)
		if err := r.full(p[inlineBytes:]); err != nil {
			return err
		}
		if _, err := r.secure.open(p[inlineBytes:]); err != nil {
			return err
		}
		f.First = p[:n:n]
		if !zero(p[n:padded(n)]) {
			return bad("segment 0: padding is not zero")
		}
	}
	if f.segments() == 1 {
		return nil
	}
	before := padded(int64(f.Lengths[1])) + padded(int64(f.Lengths[2]))
	size := before + padded(int64(f.Lengths[3]))
	p, err := r.rest(f, size+padTo+tagBytes, before)
	if err != nil {
		return err
	}
	if p, err = r.secure.open(p); err != nil {
		return err
	}
	for i := range f.Rest {
		l := int64(f.Lengths[i+1])
		var pad []byte
		f.Rest[i], p = cut(p, l)
		if pad, p = cut(p, padded(l)-l); !zero(pad) {
			return bad("segment %d: padding is not zero", i+1)
		}
	}
	if !zero(p[1:]) {
		return bad("epilogue: padding is not zero")
	}
	f.Aborted, err = late(p[0])
	return err
}

// rest reads the n bytes of segments 1 to 3. before of them precede the data,
// which begins on a page if it is large enough for that to matter: memory above
// 32 KiB begins on one.
func (r *Reader) rest(f *Frame, n, before int64) ([]byte, error) {
	if n > 1<<31 {
		return nil, bad("body of %d bytes", n)
	}
	if err := r.early(int(n)); err != nil {
		return nil, err
	}
	skip := int64(0)
	if n-before > 32<<10 {
		skip = -before & (dataAlign - 1)
	}
	f.Body = newBuffer(int(skip + n))
	p := f.Body.mem[skip : skip+n : skip+n]
	return p, r.full(p)
}

// early waits for the begin of n bytes, so that a length alone takes no memory
// (I1).
func (r *Reader) early(n int) error {
	if n <= SmallBuffer {
		return nil
	}
	_, err := r.br.Peek(min(n, earlyBytes, r.br.Size()))
	return err
}

// cut returns the first n bytes of p, without room to grow, and the rest.
func cut(p []byte, n int64) (first, rest []byte) { return p[:n:n], p[n:] }

func zero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// source is a stream with bytes put in front of it.
type source struct {
	first []byte
	r     io.Reader
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.first) == 0 {
		return s.r.Read(p)
	}
	n := copy(p, s.first)
	s.first = s.first[n:]
	return n, nil
}

// Secure makes reader and writer of a connection use secure mode from the next
// frame on.
func Secure(r *Reader, w *Writer, secret []byte, initiator bool) error {
	in, out, err := streams(secret, initiator)
	if err != nil {
		return fmt.Errorf("secure mode: %w", err)
	}
	r.secure, w.secure = in, out
	return nil
}
