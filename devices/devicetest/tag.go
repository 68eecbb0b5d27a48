package devicetest

import (
	"encoding/binary"
	"fmt"

	"ebofs/devices"
)

// tag fills p with block number and generation, over and over.
func tag(p []byte, b uint64, gen uint32) {
	for at := 0; at < len(p); at += 16 {
		binary.LittleEndian.PutUint64(p[at:], b)
		binary.LittleEndian.PutUint32(p[at+8:], gen)
		binary.LittleEndian.PutUint32(p[at+12:], uint32(at)^0x7a67)
	}
}

// diff says how p differs from the tag of that block and generation, or from
// zeros if the generation is 0.
func diff(p []byte, b uint64, gen uint32) string {
	var want [devices.BlockSize]byte
	if gen != 0 {
		tag(want[:], b, gen)
	}
	for at := range want {
		if p[at] != want[at] {
			at &^= 15
			return fmt.Sprintf("byte %d on: % x, want % x (block, generation, offset)", at, p[at:at+16], want[at:at+16])
		}
	}
	return ""
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
