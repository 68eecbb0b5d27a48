package check

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"ebofs/btree"
)

// pass is one walk over all trees.
//
//	first    everything is checked and reported
//	later    only claims, for the next window of zones
//	resolve  only the owners of suspect blocks
type pass struct {
	n       int
	first   bool
	resolve bool
	m       *blockMap

	mu       sync.Mutex
	counts   Counts
	suspects *suspects
}

// maxSuspects bounds the blocks whose owners are looked for by name.
const maxSuspects = 4096

// suspects are blocks with something wrong about their owners.
type suspects struct {
	mu     sync.Mutex
	code   map[uint64]Code
	sorted []uint64
	owners map[uint64][]owner // found by the resolve pass
	missed uint64             // suspects beyond maxSuspects
}

// owner is one user of a suspect block.
type owner struct {
	what string // "node of tree objects"
	obj  *Object
}

func (s *suspects) add(b uint64, code Code) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.code[b]; !ok && len(s.code) >= maxSuspects {
		s.missed++
		return
	}
	if s.code[b] != UsedTwice { // the graver of the two
		s.code[b] = code
	}
}

// in calls fn for the suspects in [b, b+n).
func (s *suspects) in(b, n uint64, fn func(b uint64)) {
	i, _ := slices.BinarySearch(s.sorted, b)
	for ; i < len(s.sorted) && s.sorted[i] < b+n; i++ {
		fn(s.sorted[i])
	}
}

// note records an owner of b, a few for each block.
func (s *suspects) note(b uint64, o owner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.owners[b]) < 8 {
		s.owners[b] = append(s.owners[b], o)
	}
}

// checkTrees is what full and deep add: walk all trees, then compare the blocks
// they own with the bitmaps.
func (c *checker) checkTrees(ctx context.Context) error {
	mapBytes := c.o.MemoryBytes / 5 * 4
	if n := c.root.NextObjectID/8 + 8; int64(n) <= c.o.MemoryBytes-mapBytes {
		c.ids = make([]uint64, n/8+1)
	}
	shared := c.root.Refs.Kind != btree.RootEmpty
	m := newBlockMap(&c.place, zonesFor(&c.place, mapBytes, shared), shared)
	sus := &suspects{code: make(map[uint64]Code), owners: make(map[uint64][]owner)}
	p := &pass{first: true, m: m, suspects: sus}

	ph := c.out.begin("trees")
	first := c.at.begin(c.place.Zones)
	m.window(first)
	err := c.walk(ctx, p)
	if err == nil && !c.broken.Load() {
		c.compareCounters(&p.counts)
	}
	ph.Note = fmt.Sprintf("%d objects, %d nodes", p.counts.Objects, p.counts.Nodes)
	if c.o.Level == Deep && c.noData() {
		ph.Note += "; data is not in this image, so it was not checked"
	}
	c.out.end()
	c.merge(&p.counts)
	c.rep.Passes = 1
	if err != nil {
		return err
	}
	c.at.verified()

	c.out.begin("space")
	defer c.out.end()
	var space spaceTotals
	for z := uint32(0); z < min(first, uint32(len(c.table))); z++ {
		space.free += uint64(c.table[z].FreeBlocks) // of zones that were compared before
	}
	for {
		c.tell("space", c.rep.Passes-1)
		n, err := c.compareRefs(ctx, m, sus)
		if err != nil {
			return err
		}
		p.counts.DataBlocks += n
		if err := c.compareSpace(ctx, m, sus, &space); err != nil {
			return err
		}
		if len(sus.code) == 0 && space.leaked == 0 { // else the end has more to say of these zones
			c.at.compared(m.end)
		}
		if m.end == c.place.Zones {
			break
		}
		m.window(m.end)
		if err := c.walk(ctx, &pass{n: c.rep.Passes, m: m, suspects: sus}); err != nil {
			return err
		}
		c.rep.Passes++
	}
	c.reportSpace(&space)
	c.rep.Counts.DataBlocks = p.counts.DataBlocks
	if shared && first > 0 {
		c.rep.Counts.DataBlocks = c.root.Counters.DataBlocks // those of the first zones were not counted
	} else if shared && !c.broken.Load() && !c.refsBroken.Load() {
		c.compareCounter("data blocks", c.root.Counters.DataBlocks, p.counts.DataBlocks)
	}
	return c.resolveSuspects(ctx, sus)
}

// merge adds what a walk counted to the report.
func (c *checker) merge(n *Counts) {
	r := &c.rep.Counts
	r.Collections, r.Objects, r.Bytes, r.Attrs, r.OmapKeys = n.Collections, n.Objects, n.Bytes, n.Attrs, n.OmapKeys
	r.Nodes, r.MetaBlocks, r.DataBlocks, r.Trash, r.TrashBlocks, r.DataChecked = n.Nodes, n.MetaBlocks, n.DataBlocks, n.Trash, n.TrashBlocks, n.DataChecked
}

// compareCounters compares the root record's totals with a recount.
func (c *checker) compareCounters(n *Counts) {
	want := &c.root.Counters
	for _, x := range [...]struct {
		name        string
		stored, got uint64
	}{
		{"collections", want.Collections, n.Collections}, {"objects", want.Objects, n.Objects}, {"logical bytes", want.LogicalBytes, n.Bytes},
		{"data blocks", want.DataBlocks, n.DataBlocks}, {"node blocks", want.MetaBlocks, n.MetaBlocks}, {"removed objects", want.TrashObjects, n.Trash},
	} {
		if x.name != "data blocks" || c.root.Refs.Kind == btree.RootEmpty { // else: not all are counted yet
			c.compareCounter(x.name, x.stored, x.got)
		}
	}
}

func (c *checker) compareCounter(name string, stored, got uint64) {
	if stored != got {
		c.out.add(Problem{Code: Counter, Where: name, Address: c.sb.Root.Addr.Block(), Expected: fmt.Sprintf("%d by recount", got), Found: fmt.Sprintf("%d", stored)})
	}
}

// resolveSuspects walks once more to name the owners of blocks that have two or
// whose space counts as free, and reports them.
func (c *checker) resolveSuspects(ctx context.Context, s *suspects) error {
	if len(s.code) == 0 {
		return nil
	}
	for b := range s.code {
		s.sorted = append(s.sorted, b)
	}
	slices.Sort(s.sorted)
	if err := c.walk(ctx, &pass{n: c.rep.Passes, resolve: true, suspects: s}); err != nil {
		return err
	}
	c.rep.Passes++
	for i := 0; i < len(s.sorted); {
		b := s.sorted[i]
		n := 1
		for i+n < len(s.sorted) && s.sorted[i+n] == b+uint64(n) && s.code[b+uint64(n)] == s.code[b] && sameOwners(s.owners[b], s.owners[b+uint64(n)]) {
			n++
		}
		p := Problem{Code: s.code[b], Where: "blocks", Address: b, Blocks: uint64(n), Expected: "one owner"}
		if p.Code == UsedFree {
			p.Expected = "marked as used"
		}
		for j, o := range s.owners[b] {
			if j > 0 {
				p.Found += ", "
			}
			p.Found += o.what
		}
		c.addOwners(&p, s, i, n)
		c.out.add(p)
		i += n
	}
	if s.missed > 0 {
		c.out.add(Problem{Code: UsedTwice, Where: "further blocks", Blocks: s.missed, Expected: "one owner and marked as used", Found: "too many to name"})
	}
	return nil
}

// sameOwners reports whether two blocks have the same users, extents aside.
func sameOwners(a, b []owner) bool {
	return slices.EqualFunc(a, b, func(x, y owner) bool {
		return x.what == y.what && (x.obj == nil) == (y.obj == nil) && (x.obj == nil || x.obj.Key == y.obj.Key)
	})
}

// addOwners lists the parts of objects in n suspects from index i.
func (c *checker) addOwners(p *Problem, s *suspects, i, n int) {
	for _, b := range s.sorted[i : i+n] {
		for _, o := range s.owners[b] {
			if o.obj == nil {
				continue
			}
			joined := false
			for k := range p.Objects {
				if q := &p.Objects[k]; q.Key == o.obj.Key && q.Length > 0 && q.Offset+q.Length == o.obj.Offset {
					q.Length += o.obj.Length
					joined = true
				} else if q.Key == o.obj.Key && q.Length == 0 && o.obj.Length == 0 {
					joined = true
				}
			}
			if !joined && len(p.Objects) < 64 {
				p.Objects = append(p.Objects, *o.obj)
			}
		}
	}
}

// seenID marks an object id and reports whether it was marked before.
func (c *checker) seenID(id uint64) bool {
	if c.ids == nil || id/64 >= uint64(len(c.ids)) {
		return false
	}
	return orOld(&c.ids[id/64], 1<<(id%64))
}
