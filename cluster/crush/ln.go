package crush

import "math/bits"

// lnOne is the logarithm of the largest draw: 16 in the scale of 2^44.
const lnOne = 1 << 48

// logDistance returns 2^48 - 2^44 * log2(u+1), about: how far the logarithm of the
// 16 bits of u is from that of the largest value.
func logDistance(u uint32) uint64 {
	x := u&0xffff + 1 // 1..0x10000
	e := uint64(15)
	if shift := bits.LeadingZeros32(x) - 16; shift > 0 {
		x <<= shift
		e -= uint64(shift)
	}
	i := (x>>8 - 128) * 2 // 0..256: x has bit 15 or is 0x10000
	reciprocal, head := lnHead[i], lnHead[i+1]
	tail := lnTail[uint64(x)*reciprocal>>48&0xff]
	return lnOne - (e<<44 + (head+tail)>>4)
}
