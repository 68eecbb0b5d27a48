package btree

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// check verifies the structure of a subtree and returns its totals.
func (n *mapNode) check(t *testing.T, depth int) (count, size, leafDepth int) {
	t.Helper()
	if len(n.slots) == 0 || n.kids != nil && len(n.kids) != len(n.slots) {
		t.Fatalf("node of %d entries, %d kids", len(n.slots), len(n.kids))
	}
	leafDepth = depth
	for i := range n.slots {
		if i > 0 && (i > 1 || n.kids == nil) && string(n.key(i-1)) >= string(n.key(i)) {
			t.Fatalf("entries %q, %q out of order", n.key(i-1), n.key(i))
		}
		if n.kids == nil {
			count++
			size += len(n.entrySpan(i)) + slotSize
			continue
		}
		c, s, d := n.kids[i].check(t, depth+1)
		if i > 0 && d != leafDepth {
			t.Fatalf("leaves at depth %d and %d", d, leafDepth)
		}
		count, size, leafDepth = count+c, size+s, d
	}
	if count != int(n.count) || size != n.bytes {
		t.Fatalf("totals %d, %d, want %d, %d", n.count, n.bytes, count, size)
	}
	return count, size, leafDepth
}

// TestMapModel compares a map, and clones of it, with Go maps.
func TestMapModel(t *testing.T) {
	for seed := range uint64(24) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		type pair struct {
			m    omap
			want map[string]string
		}
		maps := []*pair{{want: map[string]string{}}}
		space := []int{50, 2000, 60000}[seed%3]
		key := func(n int) []byte { return fmt.Appendf(nil, "%05d", n) }
		for range 300 {
			p := maps[rnd.IntN(len(maps))]
			n := rnd.IntN(space)
			switch op := rnd.IntN(10); op {
			case 0, 1, 2, 3, 4:
				for i := range rnd.IntN(200) {
					k, v := key((n+i*int(seed%5))%space), make([]byte, rnd.IntN(300))
					p.m.put(k, v, false)
					p.want[string(k)] = string(v)
				}
			case 5, 6:
				for i := range rnd.IntN(20) {
					k := key((n + i) % space)
					p.m.remove(k)
					delete(p.want, string(k))
				}
			case 7, 8:
				lo, hi := key(n), key(n+rnd.IntN(space/4))
				if rnd.IntN(10) == 0 {
					hi = nil
				}
				p.m.removeRange(lo, hi)
				for k := range p.want {
					if k >= string(lo) && (hi == nil || k < string(hi)) {
						delete(p.want, k)
					}
				}
			case 9:
				if len(maps) < 4 {
					w := map[string]string{}
					for k, v := range p.want {
						w[k] = v
					}
					maps = append(maps, &pair{p.m.clone(), w})
				}
			}
			for _, p := range maps {
				if p.m.root != nil && p.m.count() < 500 {
					p.m.root.check(t, 0)
				}
			}
		}
		for _, p := range maps {
			if p.m.root != nil {
				p.m.root.check(t, 0)
			}
			keys := make([]string, 0, len(p.want))
			for k := range p.want {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			var c ocursor
			i := 0
			for c.seek(&p.m, nil); c.valid(); c.next() {
				k, v, _ := c.entry()
				if i == len(keys) || keys[i] != string(k) || p.want[keys[i]] != string(v) {
					t.Fatalf("seed %d: entry %d is %q", seed, i, k)
				}
				i++
			}
			for c.last(&p.m); c.valid(); c.prev() {
				i--
				if keys[i] != string(c.key()) {
					t.Fatalf("seed %d: entry %d backwards is %q", seed, i, c.key())
				}
			}
			if i != 0 {
				t.Fatalf("seed %d: %d entries missing", seed, i)
			}
			for range 50 {
				k := key(rnd.IntN(space))
				at, found := slices.BinarySearch(keys, string(k))
				val, _, ok := p.m.get(k)
				if ok != found || ok && string(val) != p.want[string(k)] {
					t.Fatalf("seed %d: get %q %v", seed, k, ok)
				}
				want := func(name string, i int) {
					if c.valid() != (i >= 0 && i < len(keys)) || c.valid() && keys[i] != string(c.key()) {
						t.Fatalf("seed %d: %s %q is wrong", seed, name, k)
					}
				}
				c.seek(&p.m, k)
				want("seek", at)
				c.seekLT(&p.m, k)
				want("seekLT", at-1)
				c.seekLE(&p.m, k)
				if found {
					at++
				}
				want("seekLE", at-1)
			}
		}
	}
}

// TestApplyRoom: what fills an empty tree takes the memory it needs at once.
func TestApplyRoom(t *testing.T) {
	var b Batch
	size := 0
	for i := range 20 {
		key, val := []byte{byte(i)}, make([]byte, 1000)
		b.Put(key, val)
		size += entryHeader + len(key) + len(val)
	}
	m := newModel(modelConfigs[0])
	m.t.Apply(&b)
	if got := cap(m.t.active.ents.root.arena); got < size || got > size+size/8 {
		t.Errorf("%d bytes of entries in %d", size, got)
	}
}

// TestNodeGrows: a node of a map moves seldom while it fills, and a half of one that was
// split has room for as much again.
func TestNodeGrows(t *testing.T) {
	var m omap
	val := make([]byte, 100)
	moves, room := 0, 0
	for i := range maxEntries {
		m.put(fmt.Appendf(nil, "%08x", uint32(i)*0x9e3779b9), val, false)
		if c := cap(m.root.arena); c != room {
			moves, room = moves+1, c
		}
	}
	if moves > 8 {
		t.Errorf("the arena moved %d times on its way to %d bytes", moves, room)
	}
	m.put([]byte("0"), val, false)
	for _, n := range m.root.kids {
		if live := len(n.arena); cap(n.arena) < 2*live || cap(n.arena) > 2*live+live/4 {
			t.Errorf("%d bytes of a half in %d", live, cap(n.arena))
		}
	}
}
