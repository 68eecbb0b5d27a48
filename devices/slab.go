package devices

// arena is one mapping of arenaBytes, cut into slabs.
type arena struct {
	mapping
	slabs []slab
	free  int // slabs on the warm or cold list; guarded by Pool.mu
}

// mapping is memory of one grain.
type mapping struct {
	grain grain
	mem   []byte
	whole []byte // what the system gave; mem is aligned
}

// slab is a piece of an arena, cut into frames of one class while a shard
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
	if p.mu.closed {
		return nil
	}
	g := grainOf(class)
	warm, cold := &p.mu.warm[g], &p.mu.cold[g]
	var sl *slab
	if sl = pop(warm); sl != nil {
		p.mu.kept -= len(sl.mem)
	} else {
		if len(*cold) == 0 && !p.growLocked(g) {
			return nil
		}
		sl = pop(cold)
		p.yieldLocked(grains-1-g, len(sl.mem))
	}
	sl.arena.free--
	sl.cut(p, s, class)
	return sl
}

// pop takes the last slab of a list, nil if it is empty.
func pop(list *[]*slab) *slab {
	n := len(*list)
	if n == 0 {
		return nil
	}
	sl := (*list)[n-1]
	*list = (*list)[:n-1]
	return sl
}

// growLocked maps one more arena and puts its slabs on the cold list.
func (p *Pool) growLocked(g grain) bool {
	m, ok := mapArena(g)
	if !ok {
		return false
	}
	size := g.slabBytes()
	n := len(m.mem) / size
	a := &arena{mapping: m, slabs: make([]slab, n), free: n}
	p.mu.arenas = append(p.mu.arenas, a)
	for i := n - 1; i >= 0; i-- {
		a.slabs[i] = slab{arena: a, mem: m.mem[i*size : (i+1)*size : (i+1)*size], class: -1}
		p.mu.cold[g] = append(p.mu.cold[g], &a.slabs[i])
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
	if p.mu.kept+len(sl.mem) <= p.keep {
		p.mu.kept += len(sl.mem)
		p.mu.warm[a.grain] = append(p.mu.warm[a.grain], sl)
		return
	}
	if a.free == len(a.slabs) && len(p.mu.arenas) > 1 {
		p.dropLocked(a)
		return
	}
	p.coolLocked(sl)
}

// yieldLocked gives n bytes of what is kept of grain g back to the system, if there is as
// much: the other grain needs more, and both would come on top of each other.
func (p *Pool) yieldLocked(g grain, n int) {
	for n > 0 {
		sl := pop(&p.mu.warm[g])
		if sl == nil {
			return
		}
		n -= len(sl.mem)
		p.mu.kept -= len(sl.mem)
		p.coolLocked(sl)
	}
}

// coolLocked gives the memory of a free slab back to the system.
func (p *Pool) coolLocked(sl *slab) {
	dontNeed(sl.mem)
	g := sl.arena.grain
	p.mu.cold[g] = append(p.mu.cold[g], sl)
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
	warm, cold := &p.mu.warm[a.grain], &p.mu.cold[a.grain]
	before := len(*warm)
	*warm, *cold = keep(*warm), keep(*cold)
	p.mu.kept -= (before - len(*warm)) * a.grain.slabBytes()
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
