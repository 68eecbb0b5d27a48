package devicetest

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"ebofs/devices"
)

// tag fills p, one block, with block number, generation and, for each sector,
// its offset. Most of it is copied: the race detector counts every access.
func tag(p []byte, b uint64, gen uint32) {
	const sector = devices.MinTearBytes
	for at := 0; at < len(p); at += sector {
		s := p[at : at+sector]
		binary.LittleEndian.PutUint64(s, b)
		binary.LittleEndian.PutUint32(s[8:], gen)
		binary.LittleEndian.PutUint32(s[12:], uint32(at)^0x7a67)
		for n := 16; n < sector; n *= 2 {
			copy(s[n:], s[:n])
		}
	}
}

// diff says how p differs from the tag of that block and generation, or from
// zeros if the generation is 0.
func diff(p []byte, b uint64, gen uint32) string {
	var want [devices.BlockSize]byte
	if gen != 0 {
		tag(want[:], b, gen)
	}
	if bytes.Equal(p, want[:]) {
		return ""
	}
	at := 0
	for p[at] == want[at] {
		at++
	}
	at &^= 15
	return fmt.Sprintf("byte %d on: % x, want % x (block, generation, offset)", at, p[at:at+16], want[at:at+16])
}

// eachBlock calls fn for every block of v with its index.
func eachBlock(v devices.Vec, fn func(i uint64, p []byte)) {
	i := uint64(0)
	for _, p := range v {
		for ; len(p) > 0; p, i = p[devices.BlockSize:], i+1 {
			fn(i, p[:devices.BlockSize])
		}
	}
}
