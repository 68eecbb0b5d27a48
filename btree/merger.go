package btree

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
)

// merger turns a stream of items and of untouched subtrees, in key order, into
// a tree. It is what Reconcile and Bulk have in common.
//
// There is one level of pending records for each level of the tree. A level
// hands a finished page to the one above as a child; a subtree that need not
// change enters as a child of the level above its root. Pending records never
// exceed about 2.5 pages a level, so memory is bounded whatever the tree.
//
// Sizes, T being the target of a level:
//
//	pending > 2.5 T         a page of at most T leaves (bulk load: > 1.5 T)
//	end of a run ≤ 1.5 T    one page
//	end of a run > 1.5 T    even pages
//	end of a run < 0.5 T    absorb the left neighbour, if it is an untouched one
//	                        under the same new parent, else the right one
type merger struct {
	ctx    context.Context
	cfg    *Config
	own    *Owner
	ld     Loader
	sink   Sink
	epoch  uint64
	bulk   bool
	lo     []byte     // lowest key of the region items now come from
	levels []*level   // [0] leaves
	blob   []byte     // scratch
	diff   Differ     // told what changes; nil if nobody asks
	giver  GiverUp    // asked about damage; nil: damage ends the merge
	ahead  Prefetcher // told what is loaded next; nil: nobody cares
	next   []Ptr      // scratch
	key    []byte     // scratch: key of an old item told to diff
	page   []byte     // scratch

	ents    changes // of the delta being merged
	cuts    ocursor
	lost    [][]byte // keys whose leaves are given up without a look
	touched [][]byte // keys whose nodes move, sorted
	// masks are the ranges of items of one leaf that a cleared range covers.
	masks  [][2]int
	masked int // masks that are behind
}

// level holds what will become pages of one level.
type level struct {
	records
	n      int      // 0: leaves
	target int      // bytes
	size   pageSize // of one page of all pending records
	low    []byte   // low fence of the next page of a leaf level
}

// mergers keeps the memory of finished mergers: a checkpoint reconciles
// thousands of small trees.
var mergers = sync.Pool{New: func() any { return new(merger) }}

func newMerger(ctx context.Context, cfg *Config, own *Owner, ld Loader, sink Sink) *merger {
	m := mergers.Get().(*merger)
	m.ctx, m.cfg, m.own, m.ld, m.sink = ctx, cfg, own, ld, sink
	m.epoch, m.bulk, m.lo = sink.Epoch(), false, m.lo[:0]
	if m.diff = nil; cfg.Diff {
		m.diff, _ = sink.(Differ)
	}
	m.giver, _ = sink.(GiverUp)
	m.ahead, _ = sink.(Prefetcher)
	m.ents, m.cuts.d = changes{ents: ocursor{d: -1}, cmp: -1}, -1
	for _, l := range m.levels {
		m.prepare(l)
	}
	return m
}

// close gives the memory back. It must not be used afterwards.
func (m *merger) close() {
	m.ctx, m.cfg, m.own, m.ld, m.sink, m.diff, m.giver, m.ahead, m.lost, m.touched = nil, nil, nil, nil, nil, nil, nil, nil, nil, nil
	m.ents, m.cuts = changes{}, ocursor{}
	if cap(m.blob) > MaxPageBytes {
		m.blob = nil
	}
	for _, l := range m.levels {
		if cap(l.arena) > 8*MaxPageBytes {
			l.arena = nil
		}
	}
	mergers.Put(m)
}

func (m *merger) prepare(l *level) {
	l.reset()
	l.low = l.low[:0]
	l.target = m.cfg.leafBytes()
	if l.n > 0 {
		l.target = m.cfg.innerBytes()
	}
	l.resize(m.cfg)
}

// level returns level n, which may be new.
func (m *merger) level(n int) *level {
	for len(m.levels) <= n {
		l := &level{n: len(m.levels)}
		m.prepare(l)
		m.levels = append(m.levels, l)
	}
	return m.levels[n]
}

// resize counts the pending records again.
func (l *level) resize(cfg *Config) {
	l.size = pageSize{inner: l.n > 0, fixedKey: cfg.FixedKey, fixedVal: cfg.fixedVal()}
	for i := range l.recs {
		l.size.add(&l.recs[i])
	}
}

// maxPage is the largest page a run may end in.
func (l *level) maxPage() int { return min(l.target*3/2, MaxPageBytes-1) }

// least is the smallest number of records a page may have.
func (l *level) least() int {
	if l.n > 0 {
		return 2
	}
	return 1
}

// small says that the pending records are less than half a page.
func (l *level) small() bool { return l.size.page(0) < l.target/2 }

// lowFence is the low fence of the next page.
func (l *level) lowFence() []byte {
	if l.n > 0 {
		return l.key(0)
	}
	return l.low
}

// put adds an item of the delta, which may have to go out of line.
func (m *merger) put(key, val []byte) error {
	if !m.outOfLine(val) {
		return m.add(key, val, false)
	}
	ext, err := m.sink.WriteBlob(val)
	if err != nil {
		return fmt.Errorf("write overflow value: %w", err)
	}
	if n := len(ext); n == 0 || n > MaxBlobExtents {
		return fmt.Errorf("overflow value in %d extents, want 1..%d: %w", n, MaxBlobExtents, ErrInvalid)
	}
	m.blob = appendOverflow(m.blob[:0], ext)
	return m.add(key, m.blob, true)
}

// add adds an item to the leaves.
func (m *merger) add(key, val []byte, over bool) error {
	l := m.level(0)
	if len(l.recs) == 0 {
		l.low = append(l.low[:0], m.lo...)
	}
	l.add(key, val, over)
	return m.grown(l)
}

// addFrom adds item i of a leaf.
func (m *merger) addFrom(b *body, i int) error {
	l := m.level(0)
	if len(l.recs) == 0 {
		l.low = append(l.low[:0], m.lo...)
	}
	l.addFrom(b, i)
	return m.grown(l)
}

// addChild adds a child to level n > 0; low is the lowest key it may hold.
func (m *merger) addChild(n int, low []byte, c child, old bool) error {
	if n > maxLevel {
		return fmt.Errorf("tree %q: %d levels: %w", m.cfg.Name, n, ErrInvalid)
	}
	l := m.level(n)
	var buf [childBytes]byte
	l.add(low, c.append(buf[:0]), c.ptr.Flags&PtrOverflow != 0)
	l.recs[len(l.recs)-1].old = old
	return m.grown(l)
}

// grown counts the record just added and writes a page if enough is pending.
func (m *merger) grown(l *level) error {
	l.size.add(&l.recs[len(l.recs)-1])
	limit := l.target * 5 / 2
	if m.bulk {
		limit = l.target * 3 / 2
	}
	for l.size.page(0) > limit {
		n := m.fill(l, l.target)
		if n == len(l.recs) {
			return nil
		}
		if err := m.emit(l, n, l.separator(n, l.n > 0 || m.cfg.FixedKey != 0)); err != nil {
			return err
		}
	}
	return nil
}

// fill returns how many records make the largest page of at most limit bytes.
// It is at least one record, and two children, whatever their size.
func (m *merger) fill(l *level, limit int) int {
	least := l.least()
	whole := l.n > 0 || m.cfg.FixedKey != 0
	s := pageSize{inner: l.n > 0, fixedKey: m.cfg.FixedKey, fixedVal: m.cfg.fixedVal(), low: len(l.lowFence())}
	best := min(least, len(l.recs))
	for i := range l.recs {
		s.add(&l.recs[i])
		if s.n <= least {
			continue
		}
		high := 0
		if i+1 < len(l.recs) {
			high = int(l.recs[i+1].lcp) + 1
			if whole {
				high = int(l.recs[i+1].kl)
			}
		}
		if s.page(high) > min(limit, MaxPageBytes-1) {
			if s.page(0) > min(limit, MaxPageBytes-1) {
				break
			}
			continue
		}
		best = s.n
	}
	return best
}

// flush writes everything pending; high is the lowest key of what follows, nil
// if nothing does.
func (m *merger) flush(l *level, high []byte) error {
	for len(l.recs) > 0 {
		n := len(l.recs)
		total := l.size.page(len(high)) + len(l.lowFence())
		if most := l.maxPage(); total > most && !(l.n > 0 && n < 4 && total < MaxPageBytes) {
			pages := (total + most - 1) / most
			n = m.fill(l, total/pages+total/pages/16)
		}
		sep := high
		if n < len(l.recs) {
			sep = l.separator(n, l.n > 0 || m.cfg.FixedKey != 0)
		}
		if err := m.emit(l, n, sep); err != nil {
			return err
		}
	}
	return nil
}

// emit writes the first n pending records as a page that ends at high.
func (m *merger) emit(l *level, n int, high []byte) error {
	if err := m.ctx.Err(); err != nil {
		return err
	}
	s := pageSize{inner: l.n > 0, fixedKey: m.cfg.FixedKey, fixedVal: m.cfg.fixedVal(), low: len(l.lowFence())}
	for i := range n {
		s.add(&l.recs[i])
	}
	bytes := s.page(len(high))
	blocks := (bytes + blockBytes - 1) / blockBytes
	if bytes >= MaxPageBytes {
		return fmt.Errorf("tree %q: page of %d bytes, want less than %d: %w", m.cfg.Name, bytes, MaxPageBytes, ErrInvalid)
	}
	addr, err := m.sink.Alloc(blocks)
	if least := l.least(); errors.Is(err, ErrNoRun) && blocks > 1 && n >= 2*least {
		return m.emitHalves(l, n, high)
	}
	if err != nil {
		return fmt.Errorf("tree %q: allocate %d blocks: %w", m.cfg.Name, blocks, err)
	}
	if cap(m.page) < MaxPageBytes {
		m.page = make([]byte, MaxPageBytes)
	}
	p := m.page[:blocks*blockBytes]
	clear(p)
	count, size, over := l.totals(n, l.n > 0)
	h := pageHead{level: l.n, addr: addr, epoch: m.epoch, low: l.lowFence(), high: high, over: over}
	ptr := l.encodePage(p, m.cfg, m.own, &s, &h)
	if err := m.sink.Write(addr, p); err != nil {
		return fmt.Errorf("tree %q: write node: %w", m.cfg.Name, err)
	}
	if err := m.addChild(l.n+1, h.low, child{ptr: ptr, count: count, bytes: size}, false); err != nil {
		return err
	}
	l.low = append(l.low[:0], high...)
	l.drop(n)
	l.resize(m.cfg)
	return nil
}

// emitHalves writes the first n pending records as two pages, since there is no
// run of blocks for one. Each may be cut again.
func (m *merger) emitHalves(l *level, n int, high []byte) error {
	high = bytes.Clone(high) // it may lie in the arena, which moves
	half := n / 2
	if err := m.emit(l, half, l.separator(half, l.n > 0 || m.cfg.FixedKey != 0)); err != nil {
		return err
	}
	return m.emit(l, n-half, high)
}

// finish writes what is pending and returns the root. The root is inline if it
// has at most inline bytes.
func (m *merger) finish(inline int) (Root, error) {
	m.level(0)
	for k := 0; ; {
		l := m.level(k)
		above := false
		for _, u := range m.levels[k+1:] {
			above = above || len(u.recs) > 0
		}
		switch {
		case above:
			if len(l.recs) > 0 && l.small() {
				done, err := m.absorbLeft(l)
				if err != nil {
					return Root{}, err
				}
				if done {
					continue // perhaps nothing is above any more
				}
			}
		case len(l.recs) == 0:
			return Root{}, nil
		case k > 0 && len(l.recs) == 1:
			c := decodeChild(l.val(0))
			return Root{Kind: RootNode, Ptr: c.ptr, Count: c.count, Bytes: c.bytes}, nil
		case k == 0 && l.size.inline() <= inline:
			count, size, over := l.totals(len(l.recs), false)
			return Root{Kind: RootInline, Inline: l.encodeInline(m.cfg, &l.size, over), Count: count, Bytes: size}, nil
		}
		if err := m.flush(l, nil); err != nil {
			return Root{}, err
		}
		k++
	}
}
