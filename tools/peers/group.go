package main

import "sync"

// entry is a put that waits for others to be made durable with it.
type entry struct {
	i    uint64
	v    []byte
	err  error
	wake chan bool // true: lead the next batch; false: done
}

// group joins puts that come while another is under way into one commit. The
// first of them makes it, so that a single caller never waits for a goroutine.
type group struct {
	commit func([]*entry) error // one at a time
	max    int                  // entries in one commit

	mu      sync.Mutex
	waiting []*entry
	leading bool
}

var entries = sync.Pool{New: func() any { return &entry{wake: make(chan bool, 1)} }}

func (g *group) put(i uint64, v []byte) error {
	e := entries.Get().(*entry)
	defer entries.Put(e)
	e.i, e.v = i, v
	g.mu.Lock()
	g.waiting = append(g.waiting, e)
	lead := !g.leading
	g.leading = true
	g.mu.Unlock()
	if lead || <-e.wake {
		g.lead(e)
	}
	return e.err
}

// lead commits what waits, e at its head, and hands on to the next.
func (g *group) lead(e *entry) {
	g.mu.Lock()
	n := min(len(g.waiting), g.max)
	batch := g.waiting[:n:n]
	g.waiting = append([]*entry(nil), g.waiting[n:]...)
	g.mu.Unlock()
	err := g.commit(batch)
	g.mu.Lock()
	if g.leading = len(g.waiting) > 0; g.leading {
		g.waiting[0].wake <- true
	}
	g.mu.Unlock()
	for _, o := range batch {
		if o.err = err; o != e {
			o.wake <- false
		}
	}
}
