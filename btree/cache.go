package btree

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"sync/atomic"

	"ebofs/devices"
	"ebofs/internal/planted"
)

// PageReader reads whole blocks from wherever addresses lead.
type PageReader interface {
	// ReadPage fills dst, blocks long and aligned for direct I/O.
	ReadPage(ctx context.Context, addr uint64, blocks int, dst []byte) error
}

// Cache is a Loader over a device: parsed pages in frames of a pool, within a
// byte budget. Every page is verified when it comes from the reader. All pages
// are clean, so any that nobody has pinned may go at once.
//
// It is cut into shards by address. In a shard pages are replaced by CLOCK: a
// page is looked at in turn and goes if it was not used since the last look;
// inner pages are spared once more. Pages the budget has no room for because
// the others are pinned are kept beyond it until they are looked at again.
// The budget may be changed at any time.
//
// A missing page is read once however many ask for it. No lock is held across
// I/O. All methods may run at once.
type Cache struct {
	r      PageReader
	pool   *devices.Pool
	shards []cacheShard
	shift  uint
	share  atomic.Int64 // budget of a shard
}

// loadKey is what is being read. Not the address alone: a reader whose pointer
// is stale must not hand its error to one who expects what is there now.
type loadKey struct {
	addr, epoch uint64
	crc         uint32
}

func keyOf(p Ptr) loadKey { return loadKey{p.Addr, p.Epoch, p.CRC} }

// load is a page being read. Its fields are guarded by the shard's lock until
// done is closed, then constant.
type load struct {
	done    chan struct{}
	waiters int // each gets a pin when the load succeeds
	f       *frame
	err     error
}

// readTries is how often a page that fails its checks is read: some devices
// answer wrongly once.
const readTries = 3

// NewCache returns an empty cache of at most budget bytes of frames.
func NewCache(r PageReader, pool *devices.Pool, budget int64) *Cache {
	n := 1
	for n < 16 && int64(n)<<20 < budget {
		n *= 2
	}
	c := &Cache{r: r, pool: pool, shards: make([]cacheShard, n), shift: uint(64 - bits.Len(uint(n-1)))}
	for i := range c.shards {
		s := &c.shards[i]
		s.pages, s.loading = map[uint64]*frame{}, map[loadKey]*load{}
	}
	c.SetBudget(budget)
	return c
}

// SetBudget changes the budget. What is too much for a smaller one goes before
// it returns.
func (c *Cache) SetBudget(budget int64) {
	share := budget / int64(len(c.shards))
	if old := c.share.Swap(share); old <= share {
		return
	}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.evictLocked(share, nil)
		s.mu.Unlock()
	}
}

func (c *Cache) budget() int64 { return c.share.Load() * int64(len(c.shards)) }

func (c *Cache) shard(addr uint64) *cacheShard {
	return &c.shards[addr*0x9e3779b97f4a7c15>>c.shift]
}

// Resident implements Loader.
func (c *Cache) Resident(p Ptr) *Page {
	if p.Readable() != nil {
		return nil
	}
	s := c.shard(p.Addr)
	s.mu.RLock()
	f := s.findLocked(p)
	if f == nil {
		s.mu.RUnlock()
		return nil
	}
	f.refs.Add(1)
	s.mu.RUnlock()
	f.touch()
	if f.page.inner {
		s.passed.Add(1)
	} else {
		s.hits.Add(1)
	}
	return &f.page
}

// Load implements Loader.
func (c *Cache) Load(ctx context.Context, cfg *Config, own *Owner, p Ptr) (*Page, error) {
	if err := p.Readable(); err != nil {
		return nil, err
	}
	if page := c.Resident(p); page != nil {
		return page, nil
	}
	for {
		f, mine, err := c.join(ctx, p)
		if mine != nil {
			f, err = c.read(ctx, cfg, own, p)
			c.finish(p, mine, f, err)
		}
		if err != nil {
			if mine == nil && ctx.Err() == nil && isContextError(err) {
				continue // whoever loaded it gave up; we did not
			}
			return nil, err
		}
		if got := f.page.ptr; got.Epoch != p.Epoch || got.CRC != p.CRC {
			// It was loaded for another pointer, or p is stale.
			if got.Epoch < p.Epoch {
				c.drop(p.Addr, f)
				f.unpin()
				continue
			}
			err := f.page.Check(cfg, own, p)
			f.unpin()
			return nil, err
		}
		return &f.page, nil
	}
}

func isContextError(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// join returns the frame at p, pinned, once it is there; or mine, a load the
// caller has to do and finish.
func (c *Cache) join(ctx context.Context, p Ptr) (f *frame, mine *load, err error) {
	s := c.shard(p.Addr)
	s.mu.Lock()
	if f = s.pages[p.Addr]; f != nil {
		f.refs.Add(1)
		s.mu.Unlock()
		f.touch()
		return f, nil, nil
	}
	l := s.loading[keyOf(p)]
	if l == nil {
		l = &load{done: make(chan struct{})}
		s.loading[keyOf(p)] = l
		s.mu.Unlock()
		s.misses.Add(1)
		return nil, l, nil
	}
	l.waiters++
	s.mu.Unlock()
	select {
	case <-l.done:
		return l.f, nil, l.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-l.done: // too late to leave
		if l.f != nil {
			l.f.unpin()
		}
	default:
		l.waiters--
	}
	return nil, nil, ctx.Err()
}

// read reads and verifies the page p names into a new frame with one reference.
func (c *Cache) read(ctx context.Context, cfg *Config, own *Owner, p Ptr) (*frame, error) {
	if err := p.check(0); err != nil {
		return nil, err
	}
	f := &frame{mem: c.pool.Get(int(p.Blocks) * blockBytes)}
	var err error
	for range readTries {
		f.page = Page{frame: f}
		if err = c.r.ReadPage(ctx, p.Addr, int(p.Blocks), f.mem.Bytes()); err != nil {
			break // the reader has tried again as often as it thinks right
		}
		if err = f.page.parse(f.mem.Bytes(), p.Addr); err == nil {
			err = f.page.Check(cfg, own, p)
		}
		if err == nil {
			break
		}
	}
	if err != nil {
		f.mem.Release()
		return nil, err
	}
	f.refs.Store(1)
	return f, nil
}

// finish ends a load: f, which has the caller's pin, enters the cache.
func (c *Cache) finish(p Ptr, l *load, f *frame, err error) {
	s := c.shard(p.Addr)
	s.mu.Lock()
	delete(s.loading, keyOf(p))
	l.f, l.err = f, err
	if f != nil {
		f.refs.Add(int32(l.waiters) + 1)
		f.touch()
		s.insertLocked(p.Addr, f, c.share.Load())
	}
	close(l.done)
	s.mu.Unlock()
}

// drop removes f if it is still what the cache has at addr.
func (c *Cache) drop(addr uint64, f *frame) {
	s := c.shard(addr)
	s.mu.Lock()
	if s.pages[addr] == f {
		s.removeLocked(addr, f)
	}
	s.mu.Unlock()
}

// Insert puts a page that was just written into the cache, as one not used so
// far. It copies page. A page the cache cannot parse is left out: whoever reads
// it will be told.
func (c *Cache) Insert(addr uint64, page []byte) {
	f := &frame{mem: c.pool.Get(len(page))}
	f.page.frame = f
	copy(f.mem.Bytes(), page)
	if f.page.parse(f.mem.Bytes(), addr) != nil || f.page.ptr.Addr != addr {
		f.mem.Release()
		return
	}
	f.refs.Store(1)
	s := c.shard(addr)
	s.mu.Lock()
	s.insertLocked(addr, f, c.share.Load())
	s.mu.Unlock()
}

// Drop forgets every page that begins in a run of blocks: they were freed.
func (c *Cache) Drop(addr uint64, blocks int) {
	for a := addr; a < addr+uint64(blocks); a++ {
		s := c.shard(a)
		s.mu.RLock()
		f := s.pages[a]
		s.mu.RUnlock()
		if f != nil {
			c.drop(a, f)
		}
	}
}

// ReadBlob implements Loader; values are not cached.
func (c *Cache) ReadBlob(ctx context.Context, ext []BlobExtent, dst []byte) error {
	const piece = 1 << 20 // read at a time
	for _, e := range ext {
		if uint64(e.Bytes) > uint64(len(dst)) {
			return corrupt(e.Addr, "overflow run", fmt.Sprint("at most ", len(dst), " bytes"), e.Bytes)
		}
		var crc uint32
		for at := 0; at < int(e.Bytes); at += piece {
			n := min(piece, int(e.Bytes)-at)
			blocks := (n + blockBytes - 1) / blockBytes
			mem := c.pool.Get(blocks * blockBytes)
			err := c.r.ReadPage(ctx, e.Addr+uint64(at/blockBytes), blocks, mem.Bytes())
			copy(dst[at:at+n], mem.Bytes())
			mem.Release()
			if err != nil {
				return err
			}
			crc = crc32.Update(crc, castagnoli, dst[at:at+n])
		}
		if crc != e.CRC && !planted.On(planted.ValueCRC) {
			return corrupt(e.Addr, "overflow run crc", fmt.Sprintf("%08x", e.CRC), fmt.Sprintf("%08x", crc))
		}
		dst = dst[e.Bytes:]
	}
	return nil
}

// Scan returns a Loader for walks over everything: it uses what the cache has,
// but what it reads goes when it is released.
func (c *Cache) Scan() Loader { return scanLoader{c} }

type scanLoader struct{ *Cache }

// Load implements Loader.
func (l scanLoader) Load(ctx context.Context, cfg *Config, own *Owner, p Ptr) (*Page, error) {
	s := l.shard(p.Addr)
	s.mu.RLock()
	if f := s.findLocked(p); f != nil {
		f.refs.Add(1) // without touch: a scan makes nothing hot
		s.mu.RUnlock()
		return &f.page, nil
	}
	s.mu.RUnlock()
	f, err := l.read(ctx, cfg, own, p)
	if err != nil {
		return nil, err
	}
	return &f.page, nil
}

// Clear drops every page. Pinned ones give their memory back when released.
func (c *Cache) Clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for len(s.ring) > 0 {
			f := s.ring[len(s.ring)-1]
			s.removeLocked(f.page.ptr.Addr, f)
		}
		s.mu.Unlock()
	}
}

// CacheStats counts since the cache was made, but for Pages, Bytes, Budget and Pinned,
// which are as of now.
type CacheStats struct {
	Hits, Misses, Evicted uint64
	LeafHits              uint64 // of Hits, those of leaves
	Pages                 int
	Bytes, Budget         int64 // memory of the pages, and what they may take
	Pinned                int   // pages somebody uses
}

// Stats returns the sums over all shards.
func (c *Cache) Stats() CacheStats {
	st := CacheStats{Budget: c.budget()}
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		st.Pages += len(s.ring)
		st.Bytes += s.bytes
		for _, f := range s.ring {
			if f.refs.Load() > 1 {
				st.Pinned++
			}
		}
		s.mu.RUnlock()
		st.Hits += s.hits.Load() + s.passed.Load()
		st.LeafHits += s.hits.Load()
		st.Misses += s.misses.Load()
		st.Evicted += s.evicted.Load()
	}
	return st
}
