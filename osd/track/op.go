package track

import (
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// maxMarks is how many marks of an Op are kept. A request that waits for locks and
// maps in turns has more: the last one is then overwritten.
const maxMarks = 12

// Op is a request under way. A nil Op takes marks and forgets them.
type Op struct {
	t     *Tracker
	id    ceph.ReqID
	addr  ceph.Addr
	m     *msg.OSDOp
	began time.Time

	prev, next *Op // guarded by Tracker.mu, as over is
	over       bool

	mu    sync.Mutex
	marks [maxMarks]mark
	n     int
}

// mark is when an Op came to a stage, since it began.
type mark struct {
	stage Stage
	at    time.Duration
}

// Mark says that the request has come to a stage.
func (o *Op) Mark(s Stage) {
	if o == nil {
		return
	}
	at := o.t.now().Sub(o.began)
	o.mu.Lock()
	if o.n == maxMarks {
		o.n--
	}
	o.marks[o.n] = mark{s, at}
	o.n++
	o.mu.Unlock()
}

// Times is how long a request took: in all, from when it was carried out, and from
// there to when it was handed to the store.
type Times struct{ Total, Process, Prepare time.Duration }

// Done ends the Op. ok is false if it was over before.
func (o *Op) Done() (t Times, ok bool) {
	if o == nil {
		return t, false
	}
	o.Mark(Done)
	o.mu.Lock()
	t.Total = o.marks[o.n-1].at
	started := t.Total
	for _, m := range o.marks[:o.n] {
		switch m.stage {
		case Started:
			started = m.at
			t.Process = t.Total - started
			t.Prepare = t.Process
		case Committing:
			t.Prepare = m.at - started
		}
	}
	o.mu.Unlock()
	return t, o.t.done(o, t.Total)
}

// Drop ends the Op without an answer: the client asks again, elsewhere or later.
func (o *Op) Drop() {
	if o != nil {
		o.t.drop(o)
	}
}

// stage returns how far the Op has come, and when.
func (o *Op) stage() (Stage, time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	m := o.marks[o.n-1]
	return m.stage, m.at
}

// record fills r with the Op as it is now.
func (o *Op) record(r *Record, now time.Time) {
	r.Began, r.Duration = o.began, now.Sub(o.began)
	r.take(o.id, o.addr, o.m)
	o.mu.Lock()
	r.Marks = r.Marks[:0]
	for _, m := range o.marks[:o.n] {
		r.Marks = append(r.Marks, Mark{m.stage, m.at})
	}
	o.mu.Unlock()
}

// Record is a request as it is shown, under way or over.
type Record struct {
	Summary
	Began    time.Time
	Duration time.Duration // until now, or until it was over
	Marks    []Mark
}

// Mark is when a request came to a stage, since it began.
type Mark struct {
	Stage Stage
	At    time.Duration
}
