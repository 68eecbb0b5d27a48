package image

import "hash/crc32"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Sum fingerprints page p as the content of block b: 0 for zeros (nil is
// zeros too), so that a block never written and a block of zeros are equal.
//
// It is two CRCs, which differ with certainty for small differences and are
// the fastest the machine has, behind a mixing step that is not linear: sums
// of blocks are combined by exclusive or.
func Sum(b uint64, p *Page) uint64 {
	if p == nil || *p == (Page{}) {
		return 0
	}
	x := uint64(crc32.Checksum(p[:], castagnoli))<<32 | uint64(crc32.ChecksumIEEE(p[:]))
	x = mix(x) ^ mix((b+1)*0x9E3779B97F4A7C15)
	if x = mix(x); x == 0 {
		return 1
	}
	return x
}

// mix is the finalizer of splitmix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xBF58476D1CE4E5B9
	x = (x ^ x>>27) * 0x94D049BB133111EB
	return x ^ x>>31
}

// Hash returns the combined sums of all blocks: equal for equal contents. It
// costs one pass over the pages unless the image is tracked.
func (m *Image) Hash() uint64 {
	if m.track {
		return sumOf(m.root)
	}
	var h uint64
	m.Each(func(b uint64, p *Page) bool {
		h ^= Sum(b, p)
		return true
	})
	return h
}

// Tracked returns a clone of m that keeps its hash up to date with every
// write: constant time if m is tracked already, else one pass.
func (m *Image) Tracked() *Image {
	if m.track {
		return m.Clone()
	}
	src := m.Clone()
	c := &Image{tok: new(byte), levels: m.levels, track: true}
	src.Each(func(b uint64, p *Page) bool {
		c.Put(b, p, Sum(b, p))
		return true
	})
	return c
}
