package rbd

import (
	"bytes"
	"math"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/osd/cls"
)

// copyUp gives a clone's object the content of its parent's, unless a write has
// made it meanwhile.
func copyUp(c cls.Context, p []byte) error {
	if c.Exists() {
		return nil
	}
	return c.Write(0, p)
}

// sparse is data and where it belongs.
type sparse struct {
	at   []part
	data []byte
}

type part struct{ off, n uint64 }

func decodeSparse(d *denc.Decoder) sparse {
	at := denc.Slice(d, 16, func(d *denc.Decoder) part { return part{d.U64(), d.U64()} })
	return sparse{at, d.Bytes()}
}

// sparseCopyUp is copyUp for content with holes.
func sparseCopyUp(c cls.Context, s sparse) error {
	if c.Exists() {
		return nil
	}
	if err := c.Create(false); err != nil {
		return err
	}
	rest := s.data
	for _, p := range s.at {
		if p.n > uint64(len(rest)) || p.off > math.MaxUint64-p.n {
			return ceph.EINVAL
		}
		if err := c.Write(p.off, rest[:p.n]); err != nil {
			return err
		}
		rest = rest[p.n:]
	}
	return nil
}

// thin is how zeros are to be dropped.
type thin struct {
	block  uint64 // bytes
	remove bool   // an object of nothing but zeros
}

func decodeSparsify(d *denc.Decoder) thin { return thin{d.U64(), d.U8() != 0} }

// minSparse is the least block that holes are made of, as clients have it: it
// bounds how many an object gets.
const minSparse = 4096

// sparsify makes holes of whole blocks of zeros; those at the end are cut off.
func sparsify(c cls.Context, t thin) error {
	if t.block < minSparse {
		return ceph.EINVAL
	}
	p, err := c.Read(0, 0)
	if err != nil {
		return err
	}
	size := uint64(len(p))
	kept := uint64(len(bytes.TrimRight(p, "\x00")))
	if kept == 0 && t.remove {
		return c.Remove()
	}
	end := size // of what stays, a whole number of blocks if there is more
	if kept < size {
		end = min(size, blocks(kept, t.block)*t.block)
	}
	zeros := uint64(0) // in front of at
	for at := uint64(0); at < end; {
		next := at + min(t.block, end-at)
		if len(bytes.TrimRight(p[at:next], "\x00")) == 0 {
			zeros += next - at
		} else if zeros > 0 {
			if err := c.Zero(at-zeros, zeros); err != nil {
				return err
			}
			zeros = 0
		}
		at = next
	}
	if end == size {
		return nil
	}
	return c.Truncate(end)
}

// blocks is how many blocks n bytes take.
func blocks(n, block uint64) uint64 {
	b := n / block
	if n%block != 0 {
		b++
	}
	return b
}
