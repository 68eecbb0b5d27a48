package devices

import "slices"

// arena is one mapping of arenaBytes, cut into slabs.
type arena struct {
	mapping
	slabs []slab
	free  int // slabs on the warm or cold list; guarded by Pool.mu
}

// mapping is memory of whole pairs of slabs.
type mapping struct {
	mem   []byte
	whole []byte // what the system gave; mem is aligned
}

// slab is a piece of an arena, cut into frames of one class while a shard
// has it. Everything but arena, twin and mem is guarded by the shard that has it, or
// by Pool.mu while it is free.
type slab struct {
	arena  *arena
	twin   *slab  // the other half of the huge page
	mem    []byte // its capacity, of the first half, is all of the page
	class  int
	frames []Frame
	free   *Frame // list of free frames
	used   int

	prev, next *slab // in shard.partial
}

// takeSlab returns a slab cut into frames of that class for shard s, or nil if
// the system has no memory to map or the pool is closed.
func (p *Pool) takeSlab(s *shard, class int) *slab {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return nil
	}
	if len(p.mu.warm) == 0 {
		if len(p.mu.cold) == 0 && !p.growLocked() {
			return nil
		}
		sl := pop(&p.mu.cold)
		p.mu.warm = append(p.mu.warm, sl.twin, sl)
	}
	sl := pop(&p.mu.warm)
	sl.arena.free--
	sl.cut(p, s, class)
	if len(p.mu.warm) == 0 {
		p.touchLocked()
	}
	return sl
}

// touchLocked has the system give the memory of the pair that is next, unless that is
// under way or an arena ends here: who waits for a huge page may wait for milliseconds.
func (p *Pool) touchLocked() {
	if p.mu.touching || len(p.mu.cold) == 0 || !HugePages() {
		return
	}
	p.mu.touching = true
	sl := pop(&p.mu.cold)
	sl.arena.free -= 2
	p.touches.Go(func() {
		touch(sl.mem[:hugeBytes])
		p.mu.Lock()
		defer p.mu.Unlock()
		p.mu.touching = false
		sl.arena.free += 2
		p.mu.warm = slices.Insert(p.mu.warm, 0, sl.twin, sl) // halves of pages in use go first
	})
}

// pop takes the last slab of a list that has some.
func pop(list *[]*slab) *slab {
	n := len(*list)
	sl := (*list)[n-1]
	*list = slices.Delete(*list, n-1, n)
	return sl
}

// growLocked maps one more arena and puts its slabs on the cold list.
func (p *Pool) growLocked() bool {
	m, ok := mapArena()
	if !ok {
		return false
	}
	n := len(m.mem) / slabBytes
	a := &arena{mapping: m, slabs: make([]slab, n), free: n}
	p.mu.arenas = append(p.mu.arenas, a)
	for i := n - 1; i >= 0; i-- {
		a.slabs[i] = slab{arena: a, twin: &a.slabs[i^1], mem: m.mem[i*slabBytes : (i+1)*slabBytes : (i/2+1)*hugeBytes], class: -1}
		if i%2 == 0 {
			p.mu.cold = append(p.mu.cold, &a.slabs[i])
		}
	}
	return true
}

// cut makes the frames of a slab, all free, for shard s.
func (sl *slab) cut(p *Pool, s *shard, class int) {
	size := classBytes(class)
	if sl.class != class {
		sl.class = class
		sl.frames = make([]Frame, len(sl.mem)/size)
	}
	sl.free, sl.used = nil, 0
	for i := len(sl.frames) - 1; i >= 0; i-- {
		f := &sl.frames[i]
		f.pool, f.shard, f.slab = p, s, sl
		f.mem = sl.mem[i*size : (i+1)*size : (i+1)*size]
		f.next, sl.free = sl.free, f
	}
}

// giveSlab takes back a slab none of whose frames is in use.
func (p *Pool) giveSlab(sl *slab) {
	p.mu.Lock()
	defer p.mu.Unlock()
	a := sl.arena
	a.free++
	p.mu.warm = append(p.mu.warm, sl)
	if len(p.mu.warm)*slabBytes <= p.keep {
		return
	}
	if a.free == len(a.slabs) && len(p.mu.arenas) > 1 {
		p.dropLocked(a)
		return
	}
	// A huge page whose other half is in use stays, and this half is the next to be taken.
	if twin := slices.Index(p.mu.warm, sl.twin); twin >= 0 {
		p.mu.warm = slices.Delete(p.mu.warm, len(p.mu.warm)-1, len(p.mu.warm))
		p.mu.warm = slices.Delete(p.mu.warm, twin, twin+1)
		if cap(sl.mem) < hugeBytes {
			sl = sl.twin
		}
		dontNeed(sl.mem[:hugeBytes])
		p.mu.cold = append(p.mu.cold, sl)
	}
}

// dropLocked unmaps an arena that is free as a whole. If the system refuses,
// only its pages are given back and the address space stays lost until exit.
func (p *Pool) dropLocked(a *arena) {
	keep := func(list []*slab) []*slab {
		out := list[:0]
		for _, sl := range list {
			if sl.arena != a {
				out = append(out, sl)
			}
		}
		clear(list[len(out):])
		return out
	}
	p.mu.warm, p.mu.cold = keep(p.mu.warm), keep(p.mu.cold)
	for i, b := range p.mu.arenas {
		if a == b {
			p.mu.arenas = append(p.mu.arenas[:i], p.mu.arenas[i+1:]...)
			break
		}
	}
	if a.unmap() != nil {
		dontNeed(a.mem)
	}
}

// link puts a slab with a free frame first in its class.
func (s *shard) link(sl *slab) {
	head := &s.partial[sl.class]
	sl.prev, sl.next = nil, *head
	if *head != nil {
		(*head).prev = sl
	}
	*head = sl
}

// unlink takes a slab out of its class.
func (s *shard) unlink(sl *slab) {
	if sl.prev != nil {
		sl.prev.next = sl.next
	} else {
		s.partial[sl.class] = sl.next
	}
	if sl.next != nil {
		sl.next.prev = sl.prev
	}
	sl.prev, sl.next = nil, nil
}
