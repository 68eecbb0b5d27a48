package storetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"ebofs/osd"
)

// generator draws the next line of a script from the state of a model: most
// often about objects, attrs and keys that exist, at or next to an edge.
type generator struct {
	r          *rand.Rand
	m          *model
	objects    []int // numbers of those it names
	fixedColls bool  // no operations on collections
	seeds      uint64
	large      int // percent of lengths that are large
}

func newGenerator(seed uint64, m *model) *generator {
	g := &generator{r: rand.New(rand.NewPCG(seed, 0x6f736421)), m: m, seeds: seed << 20}
	for i := range 40 {
		g.objects = append(g.objects, i)
	}
	return g
}

// line draws a step of any kind.
func (g *generator) line() string {
	if len(g.m.colls) == 0 {
		return "txn mkcoll c0 -1 1 0 0"
	}
	switch n := g.r.IntN(1000); {
	case n < 2:
		return "compare"
	case n < 5:
		return "reopen"
	case n < 13:
		return "checkpoint"
	case n < 40:
		return "sync"
	case n < 55:
		return fmt.Sprintf("list %s %d", g.coll(), g.r.IntN(12))
	case n < 85:
		return fmt.Sprintf("iter o%d %s %s", g.object(), g.bound(), g.bound())
	case n < 170:
		o := g.object()
		return fmt.Sprintf("read o%d %d %d", o, g.offset(o), g.length())
	}
	return g.transaction()
}

// transaction draws a txn line of one to sixteen operations.
func (g *generator) transaction() string {
	n := 1
	switch k := g.r.IntN(10); {
	case k == 9:
		n = 5 + g.r.IntN(12)
	case k >= 5:
		n = 2 + g.r.IntN(3)
	}
	ops := make([]string, n)
	o := g.object()
	for i := range ops {
		if g.r.IntN(2) == 0 {
			o = g.object() // else: the same again
		}
		ops[i] = g.op(o)
	}
	return "txn " + strings.Join(ops, "; ")
}

func (g *generator) op(o int) string {
	if !g.fixedColls && g.r.IntN(60) == 0 {
		return g.collOp()
	}
	c, ok := g.m.collOf(object(o))
	if !ok || g.r.IntN(300) == 0 {
		c = g.coll() // perhaps a wrong one
	}
	at := fmt.Sprintf("%s o%d", c, o)
	n := g.r.IntN(100)
	switch {
	case n < 38:
		return fmt.Sprintf("write %s %d %s", at, g.offset(o), g.value(g.length()))
	case n < 44:
		return fmt.Sprintf("zero %s %d %d", at, g.offset(o), g.length())
	case n < 50:
		return fmt.Sprintf("truncate %s %d", g.there(at, o), g.offset(o))
	case n < 53:
		return "touch " + at
	case n < 57:
		return "remove " + g.there(at, o)
	case n < 60:
		to := g.r.IntN(len(g.objects))
		if g.r.IntN(10) > 0 { // one that does not exist, in the same collection
			for range 20 {
				if id := object(g.objects[to]); g.m.objs[id] == nil && g.m.colls[c].Contains(id) {
					break
				}
				to = g.r.IntN(len(g.objects))
			}
		}
		if id := object(g.objects[to]); !g.m.colls[c].Contains(id) {
			return "touch " + at // an error of its own kind; tables have it
		}
		return fmt.Sprintf("rename %s o%d", g.there(at, o), g.objects[to])
	case n < 68:
		return "setattrs " + at + g.pairs("a", 8, 1+g.r.IntN(3), g.attrLength)
	case n < 71:
		return fmt.Sprintf("rmattr %s a%d", g.there(at, o), g.r.IntN(8))
	case n < 72:
		return "rmattrs " + g.there(at, o)
	case n < 84:
		return "omapset " + at + g.pairs("k", omapKeys, 1+g.r.IntN(12), g.omapLength)
	case n < 88:
		s := "omaprm " + g.there(at, o)
		for range 1 + g.r.IntN(6) {
			s += fmt.Sprintf(" k%d", g.r.IntN(omapKeys))
		}
		return s
	case n < 91:
		return fmt.Sprintf("omaprange %s %s %s", g.there(at, o), g.bound(), g.bound())
	case n < 92:
		return "omapclear " + g.there(at, o)
	case n < 95:
		return fmt.Sprintf("omapheader %s %s", at, g.value(min(g.attrLength(), osd.MaxOmapHeaderBytes)))
	case n < 96:
		return "hint " + at
	}
	to := g.objects[g.r.IntN(len(g.objects))]
	if id := object(to); !g.m.colls[c].Contains(id) || to == o {
		return "touch " + at
	}
	if n < 98 {
		return fmt.Sprintf("clone %s o%d", g.there(at, o), to)
	}
	size := uint64(0)
	if m := g.m.objs[object(o)]; m != nil {
		size = uint64(len(m.data))
	}
	off := min(g.offset(o), size)
	return fmt.Sprintf("clonerange %s o%d %d %d %d", g.there(at, o), to, off, min(g.length(), size-off), g.offset(to))
}

// omapKeys is how many keys there are: enough that an omap outgrows its object's
// record, few enough that they are hit again.
const omapKeys = 300

// there names an object that exists instead, most of the time.
func (g *generator) there(at string, o int) string {
	if g.m.objs[object(o)] != nil || g.r.IntN(20) == 0 {
		return at
	}
	for range 30 {
		o := g.objects[g.r.IntN(len(g.objects))]
		if g.m.objs[object(o)] == nil {
			continue
		}
		if c, ok := g.m.collOf(object(o)); ok {
			return fmt.Sprintf("%s o%d", c, o)
		}
	}
	return at
}

func (g *generator) collOp() string {
	colls := slices.Sorted(maps.Keys(g.m.colls))
	c := colls[g.r.IntN(len(colls))]
	s := g.m.colls[c]
	free := fmt.Sprintf("c%d", g.r.IntN(12)) // or not
	if free == string(c) {
		free = "c12"
	}
	switch g.r.IntN(10) {
	case 0:
		return "rmcoll " + string(c)
	case 1, 2:
		return fmt.Sprintf("renamecoll %s %s", c, free)
	case 3:
		spec := osd.CollectionSpec{Shard: -1, Pool: int64(2 + g.r.IntN(3)), Bits: 1, Seed: uint32(g.r.IntN(2))}
		for _, d := range g.m.colls {
			if d.Bits == 0 && d.Overlaps(spec) {
				return "rmcoll " + string(c) // whether inside another is a store's choice
			}
		}
		return fmt.Sprintf("mkcoll %s %d %d %d %d", free, spec.Shard, spec.Pool, spec.Bits, spec.Seed)
	case 4, 5, 6:
		if s.Bits < 4 {
			return fmt.Sprintf("split %s %d %#x %s", c, s.Bits+1, s.Seed|1<<s.Bits, free)
		}
	}
	for _, d := range colls { // merge what can be
		if s.Siblings(g.m.colls[d]) {
			return fmt.Sprintf("merge %s %s %d", c, d, s.Bits-1)
		}
	}
	return fmt.Sprintf("renamecoll %s %s", c, free)
}

func (g *generator) coll() osd.CollectionID {
	colls := slices.Sorted(maps.Keys(g.m.colls))
	return colls[g.r.IntN(len(colls))]
}

// object draws one, rather one that exists.
func (g *generator) object() int {
	o := g.objects[g.r.IntN(len(g.objects))]
	for range 2 {
		if g.m.objs[object(o)] != nil {
			break
		}
		o = g.objects[g.r.IntN(len(g.objects))]
	}
	return o
}

// near moves n to its neighbours.
func (g *generator) near(n uint64) uint64 {
	switch g.r.IntN(4) {
	case 0:
		return n + 1
	case 1:
		return n - min(n, 1)
	}
	return n
}

// offset draws a place in or behind object o.
func (g *generator) offset(o int) uint64 {
	size := uint64(0)
	if m := g.m.objs[object(o)]; m != nil {
		size = uint64(len(m.data))
	}
	switch g.r.IntN(12) {
	case 0, 1:
		return 0
	case 2:
		return g.near(size)
	case 3:
		return g.r.Uint64N(size + 1)
	case 4, 5:
		return edges[g.r.IntN(len(edges))]
	case 6:
		return g.near(g.r.Uint64N(64) * 4096) // within 256 KiB
	case 7, 8:
		return g.near(g.r.Uint64N(8) * 4096)
	case 9:
		return g.near(g.r.Uint64N(32) * 512)
	}
	return smallEdges[g.r.IntN(len(smallEdges))]
}

func (g *generator) length() uint64 {
	if g.large > 0 && g.r.IntN(100) < g.large {
		return g.near(g.r.Uint64N(2 << 20))
	}
	switch n := g.r.IntN(100); {
	case n < 2:
		return g.near(g.r.Uint64N(512 << 10))
	case n < 6:
		return edges[g.r.IntN(len(edges))]
	case n < 20:
		return g.near(g.r.Uint64N(8) * 4096)
	case n < 50:
		return smallEdges[g.r.IntN(len(smallEdges)-3)]
	case n < 75:
		return g.r.Uint64N(600)
	}
	return g.r.Uint64N(9000)
}

func (g *generator) attrLength() uint64 {
	switch n := g.r.IntN(200); {
	case n == 0:
		return g.r.Uint64N(300_000)
	case n < 6:
		return g.r.Uint64N(9000)
	case n < 20:
		return smallEdges[g.r.IntN(8)]
	}
	return g.r.Uint64N(300)
}

func (g *generator) omapLength() uint64 {
	if g.r.IntN(400) == 0 {
		return g.r.Uint64N(20_000)
	}
	return g.r.Uint64N(100)
}

// value is n new bytes.
func (g *generator) value(n uint64) string {
	g.seeds++
	return fmt.Sprintf("%d#%d", n, g.seeds)
}

func (g *generator) pairs(letter string, names, n int, length func() uint64) string {
	var b strings.Builder
	for range n {
		fmt.Fprintf(&b, " %s%d:%s", letter, g.r.IntN(names), g.value(length()))
	}
	return b.String()
}

func (g *generator) bound() string {
	if g.r.IntN(6) == 0 {
		return "-"
	}
	return fmt.Sprintf("k%d", g.r.IntN(omapKeys))
}
