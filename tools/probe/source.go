package probe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

var (
	le = binary.LittleEndian
	be = binary.BigEndian
)

// source reads small pieces of a device. A piece that reaches beyond it is
// nil, so that a prober needs no bounds checks of its own.
type source struct {
	r    io.ReaderAt
	size int64
	// base is where this source begins on the whole device, for partitions.
	base   int64
	sector int64 // logical sector size
	cache  map[int64][]byte
	err    error // first read error
}

const (
	chunkBytes = 64 << 10
	// maxChunks bounds the cache at 16 MiB: both 4 MiB ends and then some.
	maxChunks = 256
)

func newSource(r io.ReaderAt, size, sector int64) *source {
	if sector < 512 {
		sector = 512
	}
	return &source{r: r, size: size, sector: sector, cache: map[int64][]byte{}}
}

// part returns a source for n bytes from off.
func (s *source) part(off, n int64) *source {
	return &source{r: io.NewSectionReader(s.r, off, n), size: n, base: s.base + off, sector: s.sector, cache: map[int64][]byte{}}
}

// at returns n bytes from off, counted from the end if negative; nil if that
// is not inside the device or cannot be read. The bytes are not to be changed.
func (s *source) at(off int64, n int) []byte {
	if off < 0 {
		off += s.size
	}
	if off < 0 || n < 0 || off+int64(n) > s.size {
		return nil
	}
	first := off / chunkBytes * chunkBytes
	if off+int64(n) <= first+chunkBytes {
		if c := s.chunk(first); c != nil {
			return c[off-first:][:n]
		}
		return nil
	}
	p := make([]byte, 0, n)
	for at := first; len(p) < n; at += chunkBytes {
		c := s.chunk(at)
		if c == nil {
			return nil
		}
		from := max(0, off-at)
		p = append(p, c[from:min(int64(len(c)), from+int64(n-len(p)))]...)
	}
	return p
}

func (s *source) chunk(at int64) []byte {
	if c, ok := s.cache[at]; ok {
		return c
	}
	c := make([]byte, min(chunkBytes, s.size-at))
	if n, err := s.r.ReadAt(c, at); n < len(c) {
		if s.err == nil {
			if err == nil || errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			s.err = fmt.Errorf("read %d bytes at %d: %w", len(c), s.base+at, err)
		}
		c = nil
	}
	if len(s.cache) >= maxChunks {
		clear(s.cache)
	}
	s.cache[at] = c
	return c
}

// has reports whether magic stands at off.
func (s *source) has(off int64, magic string) bool {
	return string(s.at(off, len(magic))) == magic
}
