package btree

import (
	"cmp"
	"context"
	"slices"
)

// A tree is brought into a cache before somebody asks for it: Leaves says what
// there is, Runs what lies side by side, and Fill reads such a run.

const (
	fillBytes = 256 << 10 // read at once, at most
	fillGap   = 4         // blocks nobody wants that cost less than a read of their own
)

// Leaves appends to dst what names the leaves that one inner node leads to, from the
// one that may hold key on, in the order of their keys. next is the first key
// behind them, nil if there is none. Inner nodes are read, leaves are not; those
// that were given up are left out. An error is of an inner node, and next is the first
// key behind what that leads to.
func (t *Tree) Leaves(ctx context.Context, key []byte, dst []Ptr) (leaves []Ptr, next []byte, err error) {
	t.mu.RLock()
	root := t.root
	t.mu.RUnlock()
	if root == nil || root.Kind == RootInline {
		return dst, nil, nil
	}
	p := root.Ptr
	for p.Level > 0 {
		page, err := t.ld.Load(ctx, t.cfg, &t.own, p)
		if err != nil {
			return dst, next, err
		}
		i := page.childOf(key)
		if p.Level == 1 {
			for ; i < page.n; i++ {
				dst = appendReadable(dst, page.child(i).ptr)
			}
			page.Release()
			return dst, next, nil
		}
		p = page.child(i).ptr
		if i+1 < page.n {
			next = page.appendKey(nil, i)
		}
		page.Release()
	}
	return appendReadable(dst, p), next, nil
}

func appendReadable(dst []Ptr, p Ptr) []Ptr {
	if p.Readable() == nil {
		dst = append(dst, p)
	}
	return dst
}

// Runs sorts what names pages by address and cuts it into parts that are read at once.
func Runs(pages []Ptr) (runs [][]Ptr) {
	slices.SortFunc(pages, func(a, b Ptr) int { return cmp.Compare(a.Addr, b.Addr) })
	from := 0
	for i := 1; i < len(pages); i++ {
		end := pages[i-1].Addr + uint64(pages[i-1].Blocks)
		if pages[i].Addr > end+fillGap || runBlocks(pages[from:i+1]) > fillBytes/blockBytes {
			runs = append(runs, pages[from:i])
			from = i
		}
	}
	if from < len(pages) {
		runs = append(runs, pages[from:])
	}
	return runs
}

// runBlocks returns how many blocks there are from the first to the last page of a run.
func runBlocks(run []Ptr) uint64 {
	last := run[len(run)-1]
	return last.Addr + uint64(last.Blocks) - run[0].Addr
}

// Fill reads what the cache does not have of a run of pages of one tree and keeps those
// that are sound, as ones not used so far. It makes nothing go: full says that some page
// found no room, or that there is hardly any and nothing was read. Whoever asks for a
// page that was not sound reads it, and is told. An error is that of the read.
func (c *Cache) Fill(ctx context.Context, cfg *Config, own *Owner, run []Ptr) (full bool, err error) {
	run = slices.DeleteFunc(slices.Clone(run), c.has)
	if len(run) == 0 {
		return false, nil
	}
	blocks := runBlocks(run)
	if !c.room(int64(blocks) * blockBytes) {
		return true, nil
	}
	mem := c.pool.Get(int(blocks) * blockBytes)
	defer mem.Release()
	if err := c.r.ReadPage(ctx, run[0].Addr, int(blocks), mem.Bytes()); err != nil {
		return false, err
	}
	for _, p := range run {
		at := int(p.Addr-run[0].Addr) * blockBytes
		f := &frame{mem: c.pool.Get(int(p.Blocks) * blockBytes)}
		f.page.frame = f
		copy(f.mem.Bytes(), mem.Bytes()[at:])
		kept := false
		if f.page.parse(f.mem.Bytes(), p.Addr) == nil && f.page.Check(cfg, own, p) == nil {
			var room bool
			kept, room = c.add(p, f)
			full = full || !room
		}
		if !kept {
			f.mem.Release()
		}
	}
	return full, nil
}

// has tells whether p is there, and leaves it as used as it is.
func (c *Cache) has(p Ptr) bool {
	s := c.shard(p.Addr)
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.findLocked(p) != nil
}

// add keeps f, which nobody has yet, if there is room, unless what is there is as new.
func (c *Cache) add(p Ptr, f *frame) (kept, room bool) {
	s, share := c.shard(p.Addr), c.share.Load()
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.pages[p.Addr]; old != nil && old.page.ptr.Epoch >= p.Epoch {
		return false, true
	}
	if s.bytes+f.size() > share {
		return false, false
	}
	f.refs.Store(1)
	s.insertLocked(p.Addr, f, share)
	return true, true
}

// room tells whether n bytes more are clearly within the budget: shards differ.
func (c *Cache) room(n int64) bool {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.RLock()
		n += s.bytes
		s.mu.RUnlock()
	}
	return n <= c.budget()-c.budget()/16
}
