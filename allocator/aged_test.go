package allocator

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// aging is a store as far as the allocator sees it: objects that are written,
// overwritten and removed at one level of use, large pieces at once, small ones when
// a checkpoint folds them.
type aging struct {
	*rand.Rand
	a     *Allocator
	objs  [][]uint64 // address of each block; 0: none
	dirty map[[2]int]bool
	gone  []Extent
	epoch uint64
	used  int
	level int
	nodes [][]Extent

	journaled, direct int // since the checkpoint
	run               Extent

	// what is judged
	bigRuns, bigBlocks   int // of writes of 1 MiB and more
	foldRuns, foldBlocks int
}

func newAging(t testing.TB, seed uint64, zones int, zoneBlocks uint32, fill float64) *aging {
	a, err := New(Config{First: 1000, Blocks: uint64(zones) * uint64(zoneBlocks), ZoneBlocks: zoneBlocks, StripeBlocks: 16, AlignBlocks: 1000 % 16}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &aging{Rand: rand.New(rand.NewPCG(seed, 9)), a: a, dirty: map[[2]int]bool{}, epoch: 1, level: int(fill * float64(a.cfg.Blocks))}
}

func (g *aging) free(addr uint64) {
	if addr != 0 {
		g.gone = appendExtent(g.gone, Extent{addr, 1})
		g.used--
	}
}

// write overwrites n blocks of object o from block at on.
func (g *aging) write(o, at, n int) error {
	obj := &g.objs[o]
	for len(*obj) < at+n {
		*obj = append(*obj, 0)
	}
	if n < 16 {
		for i := at; i < at+n; i++ {
			g.dirty[[2]int{o, i}] = true
		}
		if g.journaled += n; g.journaled >= 4096 {
			return g.checkpoint()
		}
		return nil
	}
	runs, err := g.a.Alloc(Big, n, 0, nil)
	if err != nil {
		return err
	}
	if n >= 256 {
		g.bigRuns, g.bigBlocks = g.bigRuns+len(runs), g.bigBlocks+n
	}
	i := at
	for _, r := range runs {
		for b := r.Start; b < r.End(); b++ {
			g.free((*obj)[i])
			delete(g.dirty, [2]int{o, i})
			(*obj)[i] = b
			g.used++
			i++
		}
	}
	if g.direct += n; g.direct >= 16384 {
		return g.checkpoint()
	}
	return nil
}

func (g *aging) remove(o int) {
	for i, addr := range g.objs[o] {
		g.free(addr)
		delete(g.dirty, [2]int{o, i})
	}
	g.objs[o] = nil
}

// take is a block for the fold, from runs as the engine takes them.
func (g *aging) take() (uint64, error) {
	if g.run.Blocks == 0 {
		hint, err := g.run.Start, error(nil)
		for _, least := range []int{256, 16, 1} {
			if g.run, err = g.a.AllocRun(Hot, least, 256, hint); err == nil {
				break
			}
		}
		if err != nil {
			return 0, err
		}
		g.foldRuns++
		g.foldBlocks += int(g.run.Blocks)
	}
	b := g.run.Start
	g.run.Start++
	g.run.Blocks--
	return b, nil
}

func (g *aging) checkpoint() error {
	list := make([][2]int, 0, len(g.dirty))
	for k := range g.dirty {
		list = append(list, k)
	}
	slices.SortFunc(list, func(a, b [2]int) int { return a[0]<<32 + a[1] - b[0]<<32 - b[1] })
	for _, k := range list {
		b, err := g.take()
		if err != nil {
			return err
		}
		at := &g.objs[k[0]][k[1]]
		g.free(*at)
		*at = b
		g.used++
	}
	clear(g.dirty)
	if g.run.Blocks > 0 {
		if err := g.a.Release(g.run); err != nil {
			return err
		}
		g.run.Blocks = 0
	}
	// Some nodes are written anew.
	for range 60 {
		e, err := g.a.AllocRun(Meta, 4, 4, 0)
		if err != nil {
			return err
		}
		if len(g.nodes) < 400 {
			g.nodes = append(g.nodes, []Extent{e})
			continue
		}
		i := g.IntN(len(g.nodes))
		g.gone = append(g.gone, g.nodes[i]...)
		g.nodes[i] = []Extent{e}
	}
	for _, e := range g.gone {
		if err := g.a.Free(e, g.epoch); err != nil {
			return err
		}
	}
	g.gone = g.gone[:0]
	g.a.Durable(g.epoch)
	g.epoch++
	g.journaled, g.direct = 0, 0
	return nil
}

// size draws blocks from lo to hi, each order of magnitude as likely.
func (g *aging) size(lo, hi int) int {
	return int(math.Exp(math.Log(float64(lo)) + g.Float64()*math.Log(float64(hi)/float64(lo))))
}

func (g *aging) object() int {
	for {
		n := len(g.objs)
		if g.IntN(10) > 0 {
			n = n/10 + 1
		}
		if o := g.IntN(n); len(g.objs[o]) > 0 {
			return o
		}
	}
}

// step does one thing and returns the blocks written.
func (g *aging) step() (n int, err error) {
	if g.used > g.level {
		g.remove(g.object())
		return 0, nil
	}
	if g.used < g.level-g.level/50 {
		n := [...]int{g.size(1, 16), g.size(16, 256), g.size(256, 1024), 1024}[[...]int{0, 0, 0, 0, 1, 1, 1, 2, 2, 3}[g.IntN(10)]]
		for o := range g.objs {
			if g.objs[o] == nil && g.IntN(4) == 0 {
				return n, g.write(o, 0, n)
			}
		}
		g.objs = append(g.objs, nil)
		return n, g.write(len(g.objs)-1, 0, n)
	}
	o := g.object()
	switch k := g.IntN(12); {
	case k < 6: // a part
		n = min(g.size(1, 64), len(g.objs[o]))
		return n, g.write(o, g.IntN(len(g.objs[o])-n+1), n)
	case k < 8: // blocks here and there
		for range 16 {
			if err := g.write(o, g.IntN(len(g.objs[o])), 1); err != nil {
				return 16, err
			}
		}
		return 16, nil
	case k < 9: // append
		n = min(g.size(1, 32), 1024-min(1024, len(g.objs[o])))
		return n, g.write(o, len(g.objs[o]), n)
	case k < 10:
		n = len(g.objs[o])
		return n, g.write(o, 0, n)
	}
	g.remove(o)
	return 0, nil
}

// run ages until its space was written that many times over.
func (g *aging) age(t testing.TB, rounds float64) {
	for left := int(rounds * float64(g.a.cfg.Blocks)); left > 0; {
		n, err := g.step()
		if err != nil {
			t.Fatal(err)
		}
		left -= n
	}
	if err := g.checkpoint(); err != nil {
		t.Fatal(err)
	}
}

func (g *aging) String() string {
	h := g.a.Histogram()
	runs, small := uint64(0), uint64(0)
	for k, n := range h.Runs {
		if runs += n; k < 4 {
			small += n
		}
	}
	return fmt.Sprintf("%.1f%% used, score %.3f, %d free runs, %d small, longest %d; big writes in runs of %.1f blocks, folds %.1f",
		100*float64(g.a.UsedBlocks())/float64(g.a.cfg.Blocks), g.a.Score(), runs, small, g.a.LargestFree(), float64(g.bigBlocks)/float64(max(1, g.bigRuns)), float64(g.foldBlocks)/float64(max(1, g.foldRuns)))
}

// TestAged is about what is left of long runs when a store was in use for long: a
// large write shall not come down in crumbs, and what is counted stays right.
func TestAged(t *testing.T) {
	for _, c := range []struct {
		fill float64
		big  float64 // mean run of a large write in blocks, at least
		fold float64 // and of a fold
	}{{0.5, 600, 200}, {0.8, 300, 30}, {0.9, 50, 14}} {
		g := newAging(t, 1, 16, 20480, c.fill)
		for range 4 {
			g.bigBlocks, g.bigRuns, g.foldBlocks, g.foldRuns = 0, 0, 0, 0
			g.age(t, 3)
			t.Log(g)
		}
		if err := g.a.Check(); err != nil {
			t.Error(err)
		}
		if big, fold := float64(g.bigBlocks)/float64(g.bigRuns), float64(g.foldBlocks)/float64(g.foldRuns); big < c.big || fold < c.fold {
			t.Errorf("%g used: large writes in runs of %.1f blocks, want %g; folds of %.1f, want %g", c.fill, big, c.big, fold, c.fold)
		}
	}
}
