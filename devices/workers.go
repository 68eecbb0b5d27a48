package devices

import "sync"

// maxWorkers bounds the threads a file blocks for calls of others. More would
// not get more out of a device than this many requests do.
const maxWorkers = 32

// workers make calls by blocking system calls, where there is no ring and for
// what a ring leaves half done. They live while there is work.
type workers struct {
	mu struct {
		sync.Mutex
		queue callList
		n     int // workers
	}
	wg sync.WaitGroup
}

// start takes over the calls of l.
func (w *workers) start(l callList) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for c := l.take(); c != nil; c = l.take() {
		w.mu.queue.add(c)
		if w.mu.n < maxWorkers {
			w.mu.n++
			w.wg.Go(w.work)
		}
	}
}

func (w *workers) work() {
	for {
		w.mu.Lock()
		c := w.mu.queue.take()
		if c == nil {
			w.mu.n--
		}
		w.mu.Unlock()
		if c == nil {
			return
		}
		c.block()
	}
}
