package ebofs

import (
	"sync"
	"sync/atomic"
)

// atOnce is how many I/Os of one request or checkpoint the device has at a time. On
// an old store a large request is many pieces; one after the other each would cost
// the device's latency. Sixteen keep any device busy, and leave room for others.
const atOnce = 16

// each calls fn for 0 to n-1, up to atOnce side by side, and returns the error of the
// lowest that has one. An inline store calls them in order and stops at an error.
func (s *Store) each(n int, fn func(i int) error) error {
	if n <= 1 || s.opt.Inline {
		for i := range n {
			if err := fn(i); err != nil {
				return err
			}
		}
		return nil
	}
	var wg sync.WaitGroup
	var next atomic.Int64
	errs := make([]error, n)
	work := func() {
		for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
			errs[i] = fn(i)
		}
	}
	for range min(n, atOnce) - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// flight is the writes of a gatherer that are under way.
type flight struct {
	slots chan struct{}
	wg    sync.WaitGroup
	mu    struct {
		sync.Mutex
		err error // the first
	}
}

func newFlight() *flight { return &flight{slots: make(chan struct{}, atOnce)} }

// start calls write on a goroutine of its own, as soon as fewer than atOnce are under
// way.
func (f *flight) start(write func() error) {
	f.slots <- struct{}{}
	f.wg.Go(func() {
		if err := write(); err != nil {
			f.mu.Lock()
			if f.mu.err == nil {
				f.mu.err = err
			}
			f.mu.Unlock()
		}
		<-f.slots
	})
}

// land returns when nothing is under way, with the first error there ever was.
func (f *flight) land() error {
	f.wg.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.mu.err
}
