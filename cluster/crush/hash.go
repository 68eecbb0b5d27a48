package crush

// Bob Jenkins's mix of three words, in the three rounds it consists of, each
// small enough to be inlined.

func mix1(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - b - c) ^ c>>13
	b = (b - c - a) ^ a<<8
	c = (c - a - b) ^ b>>13
	return a, b, c
}

func mix2(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - b - c) ^ c>>12
	b = (b - c - a) ^ a<<16
	c = (c - a - b) ^ b>>5
	return a, b, c
}

func mix3(a, b, c uint32) (uint32, uint32, uint32) {
	a = (a - b - c) ^ c>>3
	b = (b - c - a) ^ a<<10
	c = (c - a - b) ^ b>>15
	return a, b, c
}

// What every hash starts from: its state and two words that are mixed in.
const (
	hashSeed = 1315423911
	hashX    = 231232
	hashY    = 1232
)

// Hash1 hashes one word.
func Hash1(a uint32) uint32 {
	b, x, y, h := a, uint32(hashX), uint32(hashY), hashSeed^a
	_, _, h = mix3(mix2(mix1(b, x, h)))
	_, _, h = mix3(mix2(mix1(y, a, h)))
	return h
}

// Hash2 hashes two words.
func Hash2(a, b uint32) uint32 {
	x, y, h := uint32(hashX), uint32(hashY), hashSeed^a^b
	a, b, h = mix3(mix2(mix1(a, b, h)))
	_, _, h = mix3(mix2(mix1(x, a, h)))
	_, _, h = mix3(mix2(mix1(b, y, h)))
	return h
}

// Hash3 hashes three words.
func Hash3(a, b, c uint32) uint32 {
	x, y, h := uint32(hashX), uint32(hashY), hashSeed^a^b^c
	a, b, h = mix3(mix2(mix1(a, b, h)))
	c, x, h = mix3(mix2(mix1(c, x, h)))
	y, _, h = mix3(mix2(mix1(y, a, h)))
	_, _, h = mix3(mix2(mix1(b, x, h)))
	_, _, h = mix3(mix2(mix1(y, c, h)))
	return h
}

// Hash4 hashes four words.
func Hash4(a, b, c, d uint32) uint32 {
	x, y, h := uint32(hashX), uint32(hashY), hashSeed^a^b^c^d
	a, b, h = mix3(mix2(mix1(a, b, h)))
	c, d, h = mix3(mix2(mix1(c, d, h)))
	_, x, h = mix3(mix2(mix1(a, x, h)))
	y, _, h = mix3(mix2(mix1(y, b, h)))
	_, _, h = mix3(mix2(mix1(c, x, h)))
	_, _, h = mix3(mix2(mix1(y, d, h)))
	return h
}

// Hash5 hashes five words.
func Hash5(a, b, c, d, e uint32) uint32 {
	x, y, h := uint32(hashX), uint32(hashY), hashSeed^a^b^c^d^e
	a, b, h = mix3(mix2(mix1(a, b, h)))
	c, d, h = mix3(mix2(mix1(c, d, h)))
	e, x, h = mix3(mix2(mix1(e, x, h)))
	y, _, h = mix3(mix2(mix1(y, a, h)))
	_, x, h = mix3(mix2(mix1(b, x, h)))
	y, _, h = mix3(mix2(mix1(y, c, h)))
	_, _, h = mix3(mix2(mix1(d, x, h)))
	_, _, h = mix3(mix2(mix1(y, e, h)))
	return h
}
