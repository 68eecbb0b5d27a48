package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"ebofs/osd"
)

// notices waits for commit notices and remembers what was wrong with them.
type notices struct {
	mu       sync.Mutex
	last     map[osd.CollectionID]int // highest committed of each collection
	applied  map[int]bool
	seen     map[int]bool
	problems []string
	pending  sync.WaitGroup
}

func newNotices() *notices {
	return &notices{last: map[osd.CollectionID]int{}, applied: map[int]bool{}, seen: map[int]bool{}}
}

// watch returns the notices of transaction n, counted from 1 in queue order,
// that names colls.
func (w *notices) watch(n int, colls ...osd.CollectionID) (onApplied func(), onCommit func(error)) {
	w.pending.Add(1)
	onApplied = func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.applied[n] || w.seen[n] {
			w.problems = append(w.problems, fmt.Sprintf("transaction %d applied again, or after its commit", n))
		}
		w.applied[n] = true
	}
	onCommit = func(err error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		switch {
		case err != nil:
			w.problems = append(w.problems, fmt.Sprintf("transaction %d: commit: %v", n, err))
		case w.seen[n]:
			w.problems = append(w.problems, fmt.Sprintf("transaction %d committed twice", n))
			return // a WaitGroup would panic
		case !w.applied[n]:
			w.problems = append(w.problems, fmt.Sprintf("transaction %d committed before it was applied", n))
		}
		w.seen[n] = true
		for _, c := range colls {
			if w.last[c] > n {
				w.problems = append(w.problems, fmt.Sprintf("transaction %d committed after %d of the same collection %q", n, w.last[c], c))
			}
			w.last[c] = max(w.last[c], n)
		}
		w.pending.Done()
	}
	return onApplied, onCommit
}

// drop forgets a watched transaction that was refused.
func (w *notices) drop() { w.pending.Done() }

// wait waits for all notices; what is due was committed before, so that it only
// takes time to be told.
func (w *notices) wait() error {
	done := make(chan struct{})
	go func() { w.pending.Wait(); close(done) }()
	select {
	case <-done:
	case <-time.After(noticeTimeout):
		return fmt.Errorf("commit notices did not come within %v of Sync", noticeTimeout)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.problems) > 0 {
		return fmt.Errorf("%s (and %d more)", w.problems[0], len(w.problems)-1)
	}
	return nil
}

// noticeTimeout is how long a test waits for what should come at once: longer
// than any machine is busy, shorter than a test run.
const noticeTimeout = 30 * time.Second

// testOrder queues transactions of three collections without waiting and
// watches their notices.
func testOrder(t *testing.T, f Factory) {
	b := open(t, f)
	colls := []osd.CollectionID{c1, "2.0_head", "3.0_head"}
	b.do(txn(func(x *osd.Transaction) {
		x.MkColl(colls[1], osd.CollectionSpec{Shard: -1, Pool: 2})
		x.MkColl(colls[2], osd.CollectionSpec{Shard: -1, Pool: 3})
	}))
	w := newNotices()
	const count = 600
	for n := 1; n <= count; n++ {
		named := []osd.CollectionID{colls[n%3]}
		if n%50 == 0 {
			named = colls
		}
		x := txn(func(x *osd.Transaction) {
			for _, c := range named {
				o := osd.ObjectID{Shard: -1, Pool: b.m.colls[c].Pool, Hash: uint32(n % 7), Name: "o"}
				size := 100
				if n%20 == 0 {
					size = 200000
				}
				x.Write(c, o, uint64(n%5)*1000, fill(uint64(n), size))
				x.OmapSet(c, o, map[string][]byte{fmt.Sprint(n): nil})
			}
		})
		onApplied, onCommit := w.watch(n, named...)
		b.ok(b.queue(x, onApplied, onCommit))
		w.mu.Lock()
		applied := w.applied[n]
		w.mu.Unlock()
		if !applied {
			t.Fatalf("Queue of transaction %d returned before it was applied", n)
		}
		b.ok(b.compareTouched(x))
		if n%200 == 0 {
			b.ok(b.h.Store.Sync(b.ctx))
			b.ok(w.wait())
		}
	}
	b.ok(b.h.Store.Sync(b.ctx))
	b.ok(w.wait())
	// Nothing to wait for.
	b.ok(b.h.Store.Sync(b.ctx))
	// Close commits.
	onApplied, onCommit := w.watch(count+1, c1)
	b.ok(b.queue(txn(func(x *osd.Transaction) { x.Touch(c1, object(0)) }), onApplied, onCommit))
	b.ok(b.reopen())
	if b.h.Reopen == nil {
		b.ok(b.h.Store.Sync(b.ctx))
	}
	b.ok(w.wait())
	b.end()
}

// testChain queues from commit notices.
func testChain(t *testing.T, f Factory) {
	b := open(t, f)
	const links = 100
	done := make(chan error, 1)
	var link func(n int)
	link = func(n int) {
		x := txn(func(x *osd.Transaction) { x.Write(c1, object(n), 0, fill(uint64(n), 100)) })
		err := b.h.Store.Queue(b.ctx, x, nil, func(err error) {
			if err != nil || n == links {
				done <- err
				return
			}
			link(n + 1)
		})
		if err != nil {
			done <- err
		}
	}
	link(1)
	deadline := time.After(noticeTimeout)
	for waiting := true; waiting; {
		b.ok(b.h.Store.Sync(b.ctx)) // a store without goroutines works in here
		select {
		case err := <-done:
			b.ok(err)
			waiting = false
		case <-deadline:
			t.Fatal("the chain of commit notices broke")
		default:
		}
	}
	for n := 1; n <= links; n++ {
		o := newMobject()
		o.put(0, fill(uint64(n), 100))
		b.m.objs[object(n)] = o
	}
	b.end()
}
