package group

import "sync"

// Entry is a put that waits for others to be made durable with it. It is valid until the
// commit returns.
type Entry struct {
	I uint64 // which one
	V []byte // its bytes, the caller's

	err  error
	wake chan bool // true: lead the next batch; false: done
}

// Group commits puts together. Commit and Max are set before the first and stay.
type Group struct {
	// Commit makes a batch durable, 1 to Max entries; one at a time. Its error is that of
	// each of them.
	Commit func(batch []*Entry) error
	Max    int // entries in one commit, at least 1

	mu      sync.Mutex
	waiting []*Entry
	leading bool
}

var entries = sync.Pool{New: func() any { return &Entry{wake: make(chan bool, 1)} }}

// Put returns when v, as number i, was committed with whatever else waited, or could not be.
func (g *Group) Put(i uint64, v []byte) error {
	e := entries.Get().(*Entry)
	defer entries.Put(e)
	e.I, e.V = i, v
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
func (g *Group) lead(e *Entry) {
	g.mu.Lock()
	n := min(len(g.waiting), g.Max)
	batch := g.waiting[:n:n]
	g.waiting = append([]*Entry(nil), g.waiting[n:]...)
	g.mu.Unlock()
	err := g.Commit(batch)
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
