package datacache

import (
	"math/bits"
	"sync"

	"ebofs/devices"
)

// shard is a cache of its own for a part of the addresses.
type shard struct {
	pool *devices.Pool // constant

	mu struct {
		sync.Mutex
		maxSlots int
		chunks   []*devices.Frame
		slots    []slot   // no pointers: the collector does not look into it
		seen     []uint16 // by hash: parts of the hashes of refused addresses; length a power of two
		buckets  []uint32 // index of the first slot + 1; length a power of two, nil: closed, or of no budget
		free     uint32   // list of slots without a block, + 1
		hand     uint32
		count    Stats
	}
	_ [64]byte // keeps neighbours off this cache line
}

// seenSlots is how many refused addresses are remembered for each block of the budget.
const seenSlots = 4

// slot is room for one block.
//
//	empty  in the free list
//	cold   in a bucket; goes when the hand comes
//	ahead  in a bucket; not asked for so far, and cold when the hand comes or once it was
//	hot    in a bucket; hit since the hand passed
type slot struct {
	addr  uint64
	crc   uint32
	next  uint32 // in the bucket or the free list: index + 1, 0 ends it
	state slotState
}

type slotState uint8

const (
	empty slotState = iota
	cold
	ahead
	hot
)

// hit notes that the block was asked for. What was read ahead has then served.
func (sl *slot) hit() {
	if sl.state == ahead {
		sl.state = cold
	} else {
		sl.state = hot
	}
}

func (s *shard) init(pool *devices.Pool, chunks int) {
	s.pool = pool
	s.mu.maxSlots = chunks * chunkBlocks
	if chunks > 0 {
		s.mu.buckets = make([]uint32, 1<<bits.Len(uint(s.mu.maxSlots-1)))
		s.mu.seen = make([]uint16, seenSlots*len(s.mu.buckets))
	}
}

// resize changes what the shard may keep, to at most what init said.
func (s *shard) resize(chunks int) {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	m.maxSlots = min(chunks*chunkBlocks, len(m.buckets))
	if len(m.slots) <= m.maxSlots {
		return
	}
	for _, sl := range m.slots[m.maxSlots:] {
		if sl.state != empty {
			s.emptyLocked(s.linkLocked(sl.addr))
			m.count.Evictions++
		}
	}
	m.slots, m.hand, m.free = m.slots[:m.maxSlots], 0, 0
	for i := range m.slots {
		if sl := &m.slots[i]; sl.state == empty {
			sl.next = m.free
			m.free = uint32(i) + 1
		}
	}
	for n := len(m.slots) / chunkBlocks; len(m.chunks) > n; m.chunks = m.chunks[:len(m.chunks)-1] {
		m.chunks[len(m.chunks)-1].Release()
		m.count.Bytes -= chunkBytes
	}
}

// linkLocked returns the bucket entry of an address: what holds the index + 1 of its
// slot, or would.
func (s *shard) linkLocked(addr uint64) *uint32 {
	m := &s.mu
	// The shard took the upper bits of the hash of the group; the address
	// itself is spread anew.
	p := &m.buckets[hash(addr)>>32&uint64(len(m.buckets)-1)]
	for *p != 0 && m.slots[*p-1].addr != addr {
		p = &m.slots[*p-1].next
	}
	return p
}

// blockLocked returns the memory of slot i.
func (s *shard) blockLocked(i uint32) []byte {
	at := i % chunkBlocks * devices.BlockSize
	return s.mu.chunks[i/chunkBlocks].Bytes()[at : at+devices.BlockSize]
}

func (s *shard) get(addr uint64, crc uint32, off int, dst []byte) bool {
	m := &s.mu
	m.Lock()
	if len(m.slots) != 0 {
		if i := *s.linkLocked(addr); i != 0 && m.slots[i-1].crc == crc {
			m.slots[i-1].hit()
			copy(dst, s.blockLocked(i - 1)[off:])
			m.count.Hits++
			m.Unlock()
			return true
		}
	}
	m.count.Misses++
	m.Unlock()
	return false
}

// state returns the state of the block's slot, empty if it has none.
func (s *shard) state(addr uint64, crc uint32) slotState {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	if len(m.slots) != 0 {
		if i := *s.linkLocked(addr); i != 0 && m.slots[i-1].crc == crc {
			return m.slots[i-1].state
		}
	}
	return empty
}

// put keeps the blocks of p, one for each of crcs, at addr and the addresses behind it.
func (s *shard) put(addr uint64, crcs []uint32, p []byte, as slotState) {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	if m.maxSlots == 0 {
		return
	}
	welcome := as != cold
	for n, crc := range crcs {
		addr, block := addr+uint64(n), p[n*devices.BlockSize:][:devices.BlockSize]
		if i := *s.linkLocked(addr); i != 0 {
			if sl := &m.slots[i-1]; sl.crc != crc {
				sl.crc = crc
				copy(s.blockLocked(i-1), block)
			}
			continue
		}
		if !welcome && !s.roomLocked() {
			if welcome = s.seenLocked(addr); !welcome {
				m.count.Refused += uint64(len(crcs) - n)
				return
			}
		}
		i := s.takeLocked()
		link := s.linkLocked(addr)
		m.slots[i] = slot{addr: addr, crc: crc, state: as}
		*link = i + 1
		copy(s.blockLocked(i), block)
		m.count.Puts++
		m.count.Blocks++
	}
}

// roomLocked says whether a block takes no other's place.
func (s *shard) roomLocked() bool { return s.mu.free != 0 || len(s.mu.slots) < s.mu.maxSlots }

// seenLocked says whether the address was refused not long ago, and notes it for the
// next time.
func (s *shard) seenLocked(addr uint64) bool {
	h := hash(addr)
	p := &s.mu.seen[h>>16&uint64(len(s.mu.seen)-1)]
	tag := uint16(h) | 1 // 0: none
	if *p == tag {
		*p = 0
		return true
	}
	*p = tag
	return false
}

// takeLocked returns the index of an empty slot that is in no list.
func (s *shard) takeLocked() uint32 {
	m := &s.mu
	if m.free == 0 && len(m.slots) < m.maxSlots {
		s.growLocked()
	}
	if m.free == 0 {
		s.evictLocked()
	}
	i := m.free - 1
	m.free = m.slots[i].next
	return i
}

// growLocked adds a chunk of empty slots.
func (s *shard) growLocked() {
	m := &s.mu
	m.chunks = append(m.chunks, s.pool.Get(chunkBytes))
	m.count.Bytes += chunkBytes
	n := len(m.slots)
	m.slots = append(m.slots, make([]slot, chunkBlocks)...)
	for i := n + chunkBlocks; i > n; i-- {
		m.slots[i-1].next = m.free
		m.free = uint32(i)
	}
}

// evictLocked empties the next slot that was not hit since the hand passed.
// No slot is empty, so it ends within two rounds.
func (s *shard) evictLocked() {
	m := &s.mu
	for {
		i := m.hand
		if m.hand++; m.hand == uint32(len(m.slots)) {
			m.hand = 0
		}
		if m.slots[i].state == cold {
			s.emptyLocked(s.linkLocked(m.slots[i].addr))
			m.count.Evictions++
			return
		}
		m.slots[i].state = cold
	}
}

// emptyLocked empties the slot that *p leads to.
func (s *shard) emptyLocked(p *uint32) {
	m := &s.mu
	i := *p
	sl := &m.slots[i-1]
	*p = sl.next
	*sl = slot{next: m.free}
	m.free = i
	m.count.Blocks--
}

// drop forgets n addresses from addr on.
func (s *shard) drop(addr uint64, n int) {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	if len(m.slots) == 0 {
		return
	}
	for i := range uint64(n) {
		if p := s.linkLocked(addr + i); *p != 0 {
			s.emptyLocked(p)
			m.count.Drops++
		}
	}
}

// dropAll is drop for ranges longer than the cache: it looks at each slot.
func (s *shard) dropAll(addr, n uint64) {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	for i := range m.slots {
		if sl := &m.slots[i]; sl.state != empty && sl.addr-addr < n {
			s.emptyLocked(s.linkLocked(sl.addr))
			m.count.Drops++
		}
	}
}

func (s *shard) close() {
	m := &s.mu
	m.Lock()
	defer m.Unlock()
	for _, f := range m.chunks {
		f.Release()
	}
	m.chunks, m.slots, m.buckets, m.seen, m.free, m.hand, m.maxSlots = nil, nil, nil, nil, 0, 0, 0
	m.count.Blocks, m.count.Bytes = 0, 0
}

func (s *shard) stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mu.count
}
