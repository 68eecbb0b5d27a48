package check

import (
	"context"
	"fmt"
	"sync/atomic"

	"ebofs/btree"
	"ebofs/ebofs/layout"
	"ebofs/internal/planted"
)

// refs walks the refs tree, which says how many extents map the blocks that more
// than one maps. Its numbers are compared window by window: see compareRefs.
func (w *walker) refs() error {
	return w.tree(layout.TreeRefs, btree.Owner{}, w.c.root.Refs, func(key, val []byte, ext []btree.BlobExtent) error {
		val, err := w.value(val, ext, "reference counts")
		if err != nil {
			return err
		}
		if err := w.c.group(key, val, func(uint64, uint32) {}); err != nil {
			p := Problem{Code: RefsBad, Where: "reference counts", Tree: w.kind.String()}
			p.fill(err)
			w.report(p)
			w.c.refsBroken.Store(true)
		}
		return nil
	})
}

// group calls fn for the blocks a record of the refs tree counts.
func (c *checker) group(key, val []byte, fn func(block uint64, count uint32)) error {
	k, err := layout.DecodeUint64Key(key)
	if err != nil {
		return err
	}
	var g layout.RefGroup
	if err := layout.DecodeRefGroup(val, &g); err != nil {
		return err
	}
	if k > 1<<56/layout.RefBlocks {
		return &layout.Corruption{Kind: "refs", Field: "key", Got: fmt.Sprint(k), Want: "blocks of device 0", Err: layout.ErrMalformed}
	}
	for i, n := range g.Count {
		if n == 0 {
			continue
		}
		b := k*layout.RefBlocks + uint64(i)
		if err := c.inZones(layout.Extent{Addr: layout.MakeAddr(0, b), Blocks: 1}); err != nil {
			return err
		}
		fn(b, n)
	}
	return nil
}

// wrongRefs joins neighbouring blocks with the same wrong count.
type wrongRefs struct {
	c            *checker
	first, n     uint64
	want, stored uint32
}

func (r *wrongRefs) add(b uint64, want, stored uint32) {
	if r.n > 0 && b == r.first+r.n && want == r.want && stored == r.stored {
		r.n++
		return
	}
	r.flush()
	*r = wrongRefs{r.c, b, 1, want, stored}
}

func (r *wrongRefs) flush() {
	if r.n == 0 {
		return
	}
	found := fmt.Sprintf("counted %d times", r.stored)
	if r.stored <= 1 {
		found = "not counted"
	}
	r.c.out.add(Problem{Code: RefsBad, Where: "blocks", Tree: layout.TreeRefs.String(), Address: r.first, Blocks: r.n,
		Expected: fmt.Sprintf("mapped %d times by recount", r.want), Found: found})
	r.n = 0
}

// compareRefs compares the counts of the window with what the walk found, and
// claims the blocks counted, each once. It returns how many those are.
func (c *checker) compareRefs(ctx context.Context, m *blockMap, sus *suspects) (blocks uint64, err error) {
	if m.counts == nil {
		return 0, nil
	}
	wrong := wrongRefs{c: c}
	// What maps less than is counted may have been lost with a damaged node.
	differs := func(b uint64, got, stored uint32) {
		if planted.On(planted.CheckRefs) {
			return
		}
		if got > stored || !c.broken.Load() {
			wrong.add(b, got, stored)
		}
	}
	if !c.refsBroken.Load() {
		own := btree.Owner{}
		err = btree.Walk(ctx, &c.ld, c.configs[layout.TreeRefs], &own, c.root.Refs, btree.Visitor{
			Item: func(key, val []byte, ext []btree.BlobExtent) error {
				if ext != nil {
					return nil
				}
				return c.group(key, val, func(b uint64, stored uint32) {
					p := m.count(b)
					if p == nil {
						return
					}
					if *p != stored {
						differs(b, *p, stored)
					}
					*p = min(*p, 1)
				})
			},
			Damage: func(*btree.Node, error) error { return ctx.Err() },
		})
		if err != nil {
			return 0, err
		}
	}
	for z := m.first; z < m.end; z++ {
		start, n := c.place.Zone(z)
		for b := start; b < start+uint64(n); b++ {
			got := *m.count(b)
			if got == 0 {
				continue
			}
			blocks++
			if got > 1 && !c.refsBroken.Load() {
				differs(b, got, 1)
			}
			m.claim(b, 1, func(b uint64) { sus.add(b, UsedTwice) })
		}
	}
	wrong.flush()
	return blocks, nil
}

// share counts one more extent that maps n blocks from b.
func (m *blockMap) share(b, n uint64) {
	for ; n > 0; b, n = b+1, n-1 {
		if p := m.count(b); p != nil {
			atomic.AddUint32(p, 1)
		}
	}
}

// count returns where block b is counted, nil outside the window.
func (m *blockMap) count(b uint64) *uint32 {
	z, _ := m.place.ZoneOf(b)
	if z < m.first || z >= m.end {
		return nil
	}
	start, _ := m.place.Zone(z)
	return &m.counts[uint64(z-m.first)*uint64(m.place.ZoneBlocks)+b-start]
}
