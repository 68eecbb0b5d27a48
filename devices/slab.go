package devices

// arena is one mapping of arenaBytes, cut into slabs.
type arena struct {
	mem   []byte
	slabs []slab
	free  int // slabs on the warm or cold list; guarded by Pool.mu
}

// slab is slabBytes of an arena, cut into frames of one class while a shard
// has it. Everything but mem and arena is guarded by the shard that has it, or
// by Pool.mu while it is on a free list.
type slab struct {
	arena  *arena
	mem    []byte
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
	var sl *slab
	switch w, c := len(p.mu.warm), len(p.mu.cold); {
	case p.mu.closed:
		return nil
	case w > 0:
		sl, p.mu.warm = p.mu.warm[w-1], p.mu.warm[:w-1]
	case c > 0:
		sl, p.mu.cold = p.mu.cold[c-1], p.mu.cold[:c-1]
	default:
		if !p.growLocked() {
			return nil
		}
		c = len(p.mu.cold)
		sl, p.mu.cold = p.mu.cold[c-1], p.mu.cold[:c-1]
	}
	sl.arena.free--
	sl.cut(p, s, class)
	return sl
}

// growLocked maps one more arena and puts its slabs on the cold list.
func (p *Pool) growLocked() bool {
	mem := mapArena()
	if mem == nil {
		return false
	}
	n := len(mem) / slabBytes
	a := &arena{mem: mem, slabs: make([]slab, n), free: n}
	p.mu.arenas = append(p.mu.arenas, a)
	for i := n - 1; i >= 0; i-- {
		a.slabs[i] = slab{arena: a, mem: mem[i*slabBytes : (i+1)*slabBytes : (i+1)*slabBytes], class: -1}
		p.mu.cold = append(p.mu.cold, &a.slabs[i])
	}
	return true
}

// cut makes the frames of a slab, all free, for shard s.
func (sl *slab) cut(p *Pool, s *shard, class int) {
	size := classBytes(class)
	if sl.class != class {
		sl.class = class
		sl.frames = make([]Frame, slabBytes/size)
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
	sl.arena.free++
	if len(p.mu.warm) < p.keep {
		p.mu.warm = append(p.mu.warm, sl)
		return
	}
	if sl.arena.free == len(sl.arena.slabs) && len(p.mu.arenas) > 1 {
		p.dropLocked(sl.arena)
		return
	}
	dontNeed(sl.mem)
	p.mu.cold = append(p.mu.cold, sl)
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
	if unmapArena(a.mem) != nil {
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
