package track

import (
	"cmp"
	"slices"
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// Options say what is kept. The zero value is what Ceph's OSDs keep by default.
type Options struct {
	// Keep is how many of the slowest requests are kept, and KeepFor how long.
	// Default 20 and 600 s (osd_op_history_size, osd_op_history_duration).
	Keep    int
	KeepFor time.Duration
	// SlowKeep is how many requests that took SlowAfter or more are kept. Default 20
	// and 10 s (osd_op_history_slow_op_size, osd_op_history_slow_op_threshold).
	SlowKeep  int
	SlowAfter time.Duration
	// Complain is the age at which a request under way is reported. Default 30 s
	// (osd_op_complaint_time).
	Complain time.Duration
	Now      func() time.Time // default time.Now
}

func (o *Options) fill() {
	o.Keep = max(cmp.Or(o.Keep, 20), 1)
	o.KeepFor = cmp.Or(o.KeepFor, 600*time.Second)
	o.SlowKeep = max(cmp.Or(o.SlowKeep, 20), 1)
	o.SlowAfter = cmp.Or(o.SlowAfter, 10*time.Second)
	o.Complain = cmp.Or(o.Complain, 30*time.Second)
	if o.Now == nil {
		o.Now = time.Now
	}
}

// Tracker is the requests of one OSD.
type Tracker struct {
	opt Options

	mu struct {
		sync.Mutex
		first, last *Op // oldest first
		count       int
		history     []*Record // the slowest, in no order
		slow        []*Record // oldest first
	}
}

// New returns a Tracker that has seen nothing.
func New(o Options) *Tracker {
	o.fill()
	return &Tracker{opt: o}
}

func (t *Tracker) now() time.Time { return t.opt.Now() }

// Start begins a request. m must not change, nor its data go, before Done or Drop.
func (t *Tracker) Start(id ceph.ReqID, addr ceph.Addr, m *msg.OSDOp) *Op {
	o := &Op{t: t, id: id, addr: addr, m: m, began: t.now(), n: 1}
	t.mu.Lock()
	if o.prev = t.mu.last; o.prev == nil {
		t.mu.first = o
	} else {
		o.prev.next = o
	}
	t.mu.last = o
	t.mu.count++
	t.mu.Unlock()
	return o
}

// removeLocked takes an Op off the list; false: it was off.
func (t *Tracker) removeLocked(o *Op) bool {
	if o.over {
		return false
	}
	o.over = true
	if o.prev == nil {
		t.mu.first = o.next
	} else {
		o.prev.next = o.next
	}
	if o.next == nil {
		t.mu.last = o.prev
	} else {
		o.next.prev = o.prev
	}
	o.prev, o.next = nil, nil
	t.mu.count--
	return true
}

// Alone reports whether at most one request is under way.
func (t *Tracker) Alone() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.count <= 1
}

func (t *Tracker) drop(o *Op) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.removeLocked(o)
}

// done moves an Op to the history, if it was slow enough.
func (t *Tracker) done(o *Op, took time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.removeLocked(o) {
		return false
	}
	now := o.began.Add(took)
	if took >= t.opt.SlowAfter {
		var r *Record
		if len(t.mu.slow) >= t.opt.SlowKeep {
			r, t.mu.slow = t.mu.slow[0], t.mu.slow[1:]
		} else {
			r = &Record{}
		}
		o.record(r, now)
		t.mu.slow = append(t.mu.slow, r)
	}
	if r := t.roomLocked(took, now); r != nil {
		o.record(r, now)
	}
	return true
}

// roomLocked returns a record of the history for a request that took so long, nil
// if all that are there took longer.
func (t *Tracker) roomLocked(took time.Duration, now time.Time) *Record {
	if len(t.mu.history) < t.opt.Keep {
		r := &Record{}
		t.mu.history = append(t.mu.history, r)
		return r
	}
	var least *Record
	for _, r := range t.mu.history {
		if now.Sub(r.Began) > t.opt.KeepFor {
			return r
		}
		if least == nil || r.Duration < least.Duration {
			least = r
		}
	}
	if least == nil || least.Duration >= took {
		return nil
	}
	return least
}

// InFlight returns the requests under way, oldest first, of an age of least or
// more.
func (t *Tracker) InFlight(least time.Duration) []Record {
	now := t.now()
	list := []Record{}
	t.mu.Lock()
	defer t.mu.Unlock()
	for o := t.mu.first; o != nil && now.Sub(o.began) >= least; o = o.next {
		var r Record
		o.record(&r, now)
		list = append(list, r)
	}
	return list
}

// Count returns how many requests are under way.
func (t *Tracker) Count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.count
}

// History returns the slowest requests of the last KeepFor, oldest first.
func (t *Tracker) History() []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	list := copyOf(t.mu.history)
	list = slices.DeleteFunc(list, func(r Record) bool { return now.Sub(r.Began) > t.opt.KeepFor })
	slices.SortStableFunc(list, func(a, b Record) int { return a.Began.Compare(b.Began) })
	return list
}

// SlowHistory returns the newest requests that took SlowAfter or longer, oldest
// first.
func (t *Tracker) SlowHistory() []Record {
	t.mu.Lock()
	defer t.mu.Unlock()
	return copyOf(t.mu.slow)
}

func copyOf(list []*Record) []Record {
	out := make([]Record, 0, len(list))
	for _, r := range list {
		c := *r
		c.Snaps, c.Ops, c.Marks = slices.Clone(r.Snaps), slices.Clone(r.Ops), slices.Clone(r.Marks)
		out = append(out, c)
	}
	return out
}

// Slow is what there is to complain of.
type Slow struct {
	Count  int
	Oldest time.Duration // age
	First  Record        // the oldest
	Waits  map[Stage]int // what they wait for
	Pools  map[ceph.PoolID]int
}

// Slow returns the requests that are under way for longer than Complain.
func (t *Tracker) Slow() Slow {
	now := t.now()
	s := Slow{Waits: map[Stage]int{}, Pools: map[ceph.PoolID]int{}}
	t.mu.Lock()
	defer t.mu.Unlock()
	for o := t.mu.first; o != nil && now.Sub(o.began) >= t.opt.Complain; o = o.next {
		if s.Count++; s.Count == 1 {
			s.Oldest = now.Sub(o.began)
			o.record(&s.First, now)
		}
		at, _ := o.stage()
		s.Waits[at]++
		s.Pools[o.m.PG.PG.Pool]++
	}
	return s
}
