package storetest

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"sync"

	"ebofs/osd"
)

// edges are the sizes and offsets where stores change their ways: sectors,
// what fits inline, blocks, stripes, large writes; and their neighbours.
var edges = []uint64{
	0, 1, 511, 512, 513, 2047, 2048, 2049, 4095, 4096, 4097, 8191, 8192, 8193,
	65535, 65536, 65537, 262143, 262144, 262145, 1<<20 - 1, 1 << 20, 1<<20 + 1,
}

// smallEdges are those for tables of all pairs.
var smallEdges = []uint64{0, 1, 511, 512, 513, 2047, 2048, 2049, 4095, 4096, 4097, 8192, 12287, 65536, 65537}

// noise is what all written bytes are cut from: a piece is told by its start,
// costs nothing to make, and differs from its neighbours in every byte but one
// of 256. It is longer than any piece by a prime.
var noise = sync.OnceValue(func() []byte {
	const longest = 4 << 20
	p := make([]byte, longest+noisePrime)
	r := rand.NewChaCha8([32]byte{'n', 'o', 'i', 's', 'e'})
	_, _ = r.Read(p)
	noiseSum = crc32.ChecksumIEEE(p)
	return p
})

const noisePrime = 999983

var noiseSum uint32

// fill returns n bytes, up to 4 MiB, that belong to seed. They are shared: whoever changes
// them is found by checkFill.
func fill(seed uint64, n int) []byte {
	at := seed * 7919 % noisePrime
	p := noise()
	return p[at : at+uint64(n) : at+uint64(n)]
}

// checkFill says whether a store has changed bytes that were handed to it.
func checkFill() error {
	if crc32.ChecksumIEEE(noise()) != noiseSum {
		return fmt.Errorf("the store changed the caller's bytes")
	}
	return nil
}

// object is object n of pool 1. Hashes are spread, and some are equal; names,
// keys and namespaces contain what escaping and prefixes get wrong.
func object(n int) osd.ObjectID {
	o := osd.ObjectID{Shard: -1, Pool: 1, Hash: uint32(n) * 2654435761, Snap: ^uint64(1), Generation: ^uint64(0)}
	switch n % 8 {
	case 0:
		o.Name = fmt.Sprintf("rbd_data.%012x", n)
	case 1:
		o.Name = fmt.Sprintf("a\x00%d", n)
	case 2:
		o.Name = strings.Repeat("a", n%40+1)
		o.Namespace = fmt.Sprint(n)
	case 3:
		o.Name = fmt.Sprintf("\xff\xff%d\x00", n)
		o.Namespace = "\x00"
	case 4:
		o.Name = fmt.Sprintf("ключ %d", n)
		o.Key = "locator"
	case 5:
		o.Name = "same"
		o.Snap = uint64(n)
		o.Hash = 5
	case 6:
		o.Name = "same"
		o.Generation = uint64(n)
		o.Hash = 6
	case 7:
		o.Name = fmt.Sprintf("temp%d", n)
		o.Pool = -3
	}
	return o
}

// attrName is attr n.
func attrName(n int) string {
	switch n % 4 {
	case 0:
		return "_"
	case 1:
		return fmt.Sprintf("_user.%d", n)
	case 2:
		return fmt.Sprintf("%d/\x01ü", n)
	}
	return strings.Repeat("n", n%200+20)
}

// omapKey is key n. The order of keys is not that of n, some are prefixes of
// others, and they hold any byte.
func omapKey(n int) string {
	switch n % 6 {
	case 0:
		return fmt.Sprintf("%08d", n)
	case 1:
		return "p" + strings.Repeat("\x00", n%97)
	case 2:
		return "\xff" + fmt.Sprint(n)
	case 3:
		return strings.Repeat("k", n%251+1)
	case 4:
		return fmt.Sprintf("%c", n%256) + "\x00" + fmt.Sprint(n)
	}
	return fmt.Sprintf("_rbd_object_%x", n*2654435761)
}

// uniform says whether p is one byte repeated.
func uniform(p []byte) bool {
	return len(p) == 0 || bytes.Count(p, p[:1]) == len(p)
}
