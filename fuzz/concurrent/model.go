package concurrent

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"

	"ebofs/osd"
)

// kind is what a step does.
type kind uint8

const (
	write      kind = iota // n cells from at on
	zero                   // likewise
	truncate               // to n cells
	remove                 //
	setAttrs               // one or all
	rmAttrs                //
	setOmap                // n keys from at on
	rmOmap                 // likewise
	clone                  // to the other object
	cloneRange             // n cells from at on, to the same place
	readData               // all
	readAttrs              //
	readOmap               // all keys
	readSize               //
)

// step is a change or a read of one object of a pair.
type step struct {
	kind    kind
	obj     int // 0 or 1
	at, n   int
	version uint32
}

// input is a call: some changes, done together, or one read.
type input []step

// output is what a call returned.
type output struct {
	refused bool              // not found, or not possible: nothing was done
	nth     int               // of a change: it is this one of its pair, from 1 on, in the order of commits
	cells   []uint32          // of readData
	values  map[string]uint32 // of readAttrs and readOmap
	size    int               // of readSize, in cells
}

// pair is the state of two objects.
type pair [2]*object

// moment is the state of a pair after so many changes.
type moment struct {
	pair
	changes int
}

// key is the name of an attr or omap key.
func key(i int) string { return fmt.Sprintf("key%d", i) }

const keys = 6

// apply returns p after a change, false if that must be refused.
func (p pair) apply(s step) (pair, bool) {
	var o object
	switch old := p[s.obj]; {
	case old != nil:
		o = *old
	case s.kind == truncate, s.kind == remove, s.kind == rmAttrs, s.kind == rmOmap, s.kind == clone, s.kind == cloneRange:
		return p, false
	}
	switch s.kind {
	case write:
		o.cells = put(o.cells, s.at, slices.Repeat([]uint32{s.version}, s.n))
	case zero:
		o.cells = put(o.cells, s.at, make([]uint32, s.n))
	case truncate:
		o.cells = put(o.cells[:min(s.n, len(o.cells))], s.n, nil)
	case setAttrs:
		o.attrs = set(o.attrs, s)
	case rmAttrs:
		o.attrs = nil
	case setOmap:
		o.omap = set(o.omap, s)
	case rmOmap:
		o.omap = maps.Clone(o.omap)
		for i := range s.n {
			delete(o.omap, key(s.at+i))
		}
	}
	switch s.kind {
	case remove:
		p[s.obj] = nil
	case clone:
		p[1-s.obj] = p[s.obj]
	case cloneRange:
		if s.at+s.n > len(o.cells) {
			return p, false
		}
		var to object
		if p[1-s.obj] != nil {
			to = *p[1-s.obj]
		}
		to.cells = put(to.cells, s.at, o.cells[s.at:s.at+s.n])
		p[1-s.obj] = &to
	default:
		p[s.obj] = &o
	}
	return p, true
}

// put returns a copy of cells with more from at on.
func put(cells []uint32, at int, more []uint32) []uint32 {
	out := make([]uint32, max(len(cells), at+len(more)))
	copy(out, cells)
	copy(out[at:], more)
	return out
}

func set(m map[string]uint32, s step) map[string]uint32 {
	out := make(map[string]uint32, len(m)+s.n)
	maps.Copy(out, m)
	for i := range s.n {
		out[key(s.at+i)] = s.version
	}
	return out
}

// answers reports whether a read of p returns out.
func (p pair) answers(s step, out output) bool {
	o := p[s.obj]
	if o == nil || out.refused {
		return o == nil && out.refused
	}
	switch s.kind {
	case readData:
		return slices.Equal(o.cells, out.cells)
	case readAttrs:
		return maps.Equal(o.attrs, out.values)
	case readOmap:
		return maps.Equal(o.omap, out.values)
	}
	return len(o.cells) == out.size
}

// model is a pair of objects to porcupine. Changes of one collection are applied
// in the order they commit in, so that only the place of reads and refusals among
// them is to be found: a search that ends.
var model = porcupine.Model{
	Init: func() any { return moment{} },
	Step: func(state, in, out any) (bool, any) {
		m, got := state.(moment), out.(output)
		steps := in.(input)
		switch {
		case steps[0].kind >= readData:
			return m.answers(steps[0], got), m
		case !got.refused && got.nth != m.changes+1:
			return false, m
		}
		now, ok := m.pair, true
		for _, s := range steps {
			if now, ok = now.apply(s); !ok {
				break
			}
		}
		if !ok || got.refused {
			return !ok && got.refused, m
		}
		return true, moment{now, got.nth}
	},
	Equal: func(a, b any) bool { return a.(moment).changes == b.(moment).changes },
	Hash:  func(a any) uint64 { return uint64(a.(moment).changes) },
}

// add puts the steps of a change, on the objects ids of collection c, into t.
func (in input) add(t *osd.Transaction, c osd.CollectionID, ids [2]osd.ObjectID) {
	for _, s := range in {
		o, off, n := ids[s.obj], uint64(s.at*cellBytes), uint64(s.n*cellBytes)
		switch s.kind {
		case write:
			t.Write(c, o, off, fill(s.version, s.n))
		case zero:
			t.Zero(c, o, off, n)
		case truncate:
			t.Truncate(c, o, n)
		case remove:
			t.Remove(c, o)
		case setAttrs:
			t.SetAttrs(c, o, s.values())
		case rmAttrs:
			t.RmAttrs(c, o)
		case setOmap:
			t.OmapSet(c, o, s.values())
		case rmOmap:
			names := make([]string, s.n)
			for i := range names {
				names[i] = key(s.at + i)
			}
			t.OmapRm(c, o, names)
		case clone:
			t.Clone(c, o, ids[1-s.obj])
		case cloneRange:
			t.CloneRange(c, o, ids[1-s.obj], off, n, off)
		}
	}
}

func (s step) values() map[string][]byte {
	m := map[string][]byte{}
	for i := range s.n {
		m[key(s.at+i)] = value(s.version)
	}
	return m
}

func (k kind) String() string {
	return [...]string{"write", "zero", "truncate", "remove", "set attrs", "rm attrs", "set omap", "rm omap", "clone", "clone range",
		"read data", "read attrs", "read omap", "read size"}[k]
}

func (in input) String() string {
	var b strings.Builder
	for i, s := range in {
		if i > 0 {
			b.WriteString("; ")
		}
		fmt.Fprintf(&b, "%v of %c %d~%d version %d", s.kind, 'a'+s.obj, s.at, s.n, s.version)
	}
	return b.String()
}

func (o output) String() string {
	switch {
	case o.refused:
		return "refused"
	case o.nth > 0:
		return fmt.Sprint("change ", o.nth)
	case o.cells != nil:
		return fmt.Sprint("cells ", o.cells)
	case o.values != nil:
		return fmt.Sprint("values ", o.values)
	}
	return fmt.Sprint("size ", o.size)
}
