package datacache

import (
	"math/bits"
	"runtime"

	"ebofs/devices"
)

const (
	chunkBlocks = 64 // slots of a chunk: 256 KiB, so that small budgets are used up
	chunkBytes  = chunkBlocks * devices.BlockSize

	// groupBits is log2 of the neighbouring addresses that share a shard: 16
	// blocks are a stripe, which is read, cached and dropped as one.
	groupBits = 4

	// A shard for each of four times the processors makes waiting rare; a shard
	// of less than 1 MiB would make eviction a matter of chance.
	shardsPerProc = 4
	maxShards     = 64
	minShardBytes = 1 << 20
)

// Cache is a cache of data blocks under a byte budget. All methods may run at
// once.
type Cache struct {
	shards []shard // length a power of two
	shift  uint    // 64 - log2(len(shards))
	most   int     // blocks the budget of New holds
}

// New returns an empty cache that keeps at most budget bytes, rounded down to
// whole chunks of 256 KiB, in frames of pool. A budget below one chunk makes a
// cache that keeps nothing. Close gives the frames back.
func New(pool *devices.Pool, budget int64) *Cache {
	n := 1
	for n < min(shardsPerProc*runtime.GOMAXPROCS(0), maxShards) && budget/int64(2*n) >= minShardBytes {
		n *= 2
	}
	c := &Cache{shards: make([]shard, n), shift: uint(64 - bits.TrailingZeros(uint(n)))}
	for i := range c.shards {
		chunks := c.share(i, budget)
		c.shards[i].init(pool, chunks)
		c.most += chunks * chunkBlocks
	}
	return c
}

// share returns how many chunks of a budget are shard i's.
func (c *Cache) share(i int, budget int64) int {
	chunks, n := int(max(budget, 0)/chunkBytes), len(c.shards)
	if i < chunks%n {
		return chunks/n + 1
	}
	return chunks / n
}

// SetBudget changes the budget, to at most what New was given. What is too much
// for a smaller one goes before it returns.
func (c *Cache) SetBudget(budget int64) {
	for i := range c.shards {
		c.shards[i].resize(c.share(i, budget))
	}
}

// hash spreads the bits of an address; the upper bits are the best ones.
func hash(x uint64) uint64 {
	x ^= x >> 32
	x *= 0x9e3779b97f4a7c15 // 2^64 / golden ratio
	return x ^ x>>29
}

// shardOf returns the shard of an address.
func (c *Cache) shardOf(addr uint64) *shard {
	return &c.shards[hash(addr>>groupBits)>>c.shift]
}

// Get fills dst with the bytes from off on of the block at addr whose CRC-32C
// is crc, and reports whether it is there; if not, dst is untouched. A range
// that is not inside one block is never there.
func (c *Cache) Get(addr uint64, crc uint32, off int, dst []byte) bool {
	if off < 0 || off > devices.BlockSize || len(dst) > devices.BlockSize-off {
		return false
	}
	return c.shardOf(addr).get(addr, crc, off, dst)
}

// Put keeps a copy of the block at addr, whose CRC-32C is crc; the caller has
// verified it. A block that is there already stays, unless its CRC differs. A full
// cache takes a block only when it comes for the second time within a while.
// What is not one block long is not kept.
func (c *Cache) Put(addr uint64, crc uint32, block []byte) {
	if len(block) == devices.BlockSize {
		c.shardOf(addr).put(addr, []uint32{crc}, block, cold)
	}
}

// PutRun is Put of the neighbours that p holds from addr on, one for each of crc, which
// come and go together: a full cache decides about up to 16 of them at a time.
func (c *Cache) PutRun(addr uint64, crc []uint32, p []byte) {
	for len(crc) > 0 && len(p) >= len(crc)*devices.BlockSize {
		n := min(1<<groupBits-int(addr%(1<<groupBits)), len(crc))
		c.shardOf(addr).put(addr, crc[:n], p, cold)
		addr += uint64(n)
		crc, p = crc[n:], p[n*devices.BlockSize:]
	}
}

// PutAhead is Put of a block nobody asked for yet. The first hit does not keep it:
// who reads things in order does not come back.
func (c *Cache) PutAhead(addr uint64, crc uint32, block []byte) {
	if len(block) == devices.BlockSize {
		c.shardOf(addr).put(addr, []uint32{crc}, block, ahead)
	}
}

// Has reports whether the block at addr whose CRC-32C is crc is there.
func (c *Cache) Has(addr uint64, crc uint32) bool { return c.shardOf(addr).state(addr, crc) != empty }

// Ahead reports whether it is there by PutAhead and was not asked for so far.
func (c *Cache) Ahead(addr uint64, crc uint32) bool { return c.shardOf(addr).state(addr, crc) == ahead }

// Drop forgets blocks blocks, those at addr and the addresses behind it: they are free now, or about to be written. A reader that is still
// under way may put one of them back; its CRC keeps it from hitting as anything
// else.
func (c *Cache) Drop(addr uint64, blocks int) {
	if blocks > c.most {
		for i := range c.shards {
			c.shards[i].dropAll(addr, uint64(blocks))
		}
		return
	}
	for blocks > 0 {
		n := min(1<<groupBits-int(addr%(1<<groupBits)), blocks)
		c.shardOf(addr).drop(addr, n)
		addr += uint64(n)
		blocks -= n
	}
}

// Close gives the memory back. Afterwards nothing is there and nothing is kept.
func (c *Cache) Close() {
	for i := range c.shards {
		c.shards[i].close()
	}
}

// Stats are sums since New, except Blocks and Bytes, which are of now.
type Stats struct {
	Hits      uint64
	Misses    uint64
	Puts      uint64 // blocks newly kept
	Evictions uint64 // blocks given up for others
	Refused   uint64 // blocks not kept, as others would have gone for the first use of them
	Drops     uint64 // blocks forgotten by Drop
	Blocks    int    // blocks kept
	Bytes     int64  // memory of the chunks
}

// Stats returns the counters, taken shard by shard.
func (c *Cache) Stats() Stats {
	var sum Stats
	for i := range c.shards {
		s := c.shards[i].stats()
		sum.Hits += s.Hits
		sum.Misses += s.Misses
		sum.Puts += s.Puts
		sum.Evictions += s.Evictions
		sum.Refused += s.Refused
		sum.Drops += s.Drops
		sum.Blocks += s.Blocks
		sum.Bytes += s.Bytes
	}
	return sum
}
