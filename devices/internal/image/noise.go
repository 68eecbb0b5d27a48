package image

import "encoding/binary"

// Noise fills p, a multiple of 8 bytes, with bytes that only seed decides and
// that are neither zeros nor anything a store writes.
func Noise(seed uint64, p []byte) {
	x := mix(seed + 0x6A09E667F3BCC909)
	for i := 0; i+8 <= len(p); i += 8 {
		x += 0x9E3779B97F4A7C15
		binary.LittleEndian.PutUint64(p[i:], mix(x))
	}
}
