package sweep

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// Sweep runs workloads with every fault there is.
type Sweep struct {
	// Every is the share of faults that are tried: one in so many, taking turns
	// from workload to workload. 0 is 1.
	Every uint64

	reg    *Registry
	faults atomic.Int64 // of I/O
	space  atomic.Int64 // of allocations
	mu     sync.Mutex
	errs   []error
}

// maxErrors is how many broken promises are worth reporting.
const maxErrors = 8

// lengths are how many in a row fail, by kind; 0 is all that follow. Reads are
// tried three times, so two failures are hidden.
var lengths = [kinds][]uint64{Read: {1, 2, 0}, Write: {1, 0}, Flush: {1, 0}, Space: {1, 0}}

// Do sweeps the workloads on all processors.
func (x *Sweep) Do(ctx context.Context, ws []*Workload) {
	type job struct {
		w     *Workload
		shift uint64
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			buf := make([]byte, 256<<10)
			for j := range jobs {
				if err := x.workload(ctx, j.w, j.shift, buf); err != nil {
					x.report(fmt.Errorf("workload %s: %w", j.w.Name(), err))
				}
			}
		})
	}
	for i, w := range ws {
		if x.broken() {
			break
		}
		jobs <- job{w, uint64(i)}
	}
	close(jobs)
	wg.Wait()
}

func (x *Sweep) report(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.errs = append(x.errs, err)
}

func (x *Sweep) broken() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.errs) >= maxErrors
}

// workload runs w without a fault, then with each.
func (x *Sweep) workload(ctx context.Context, w *Workload, shift uint64, buf []byte) error {
	ref, err := refer(ctx, w, nil)
	if err != nil {
		return err
	}
	count, err := Run(ctx, w, ref, x.reg, Fault{}, buf)
	if err != nil {
		return err
	}
	for k := range kinds {
		for li, n := range lengths[k] {
			for nth := uint64(1); nth <= count[k]; nth++ {
				if (nth+shift+uint64(li))%max(x.Every, 1) != 0 {
					continue
				}
				if x.one(ctx, w, ref, Fault{Kind: k, Nth: nth, For: n}, buf); x.broken() {
					return nil
				}
			}
		}
	}
	return nil
}

// one runs w with one fault.
func (x *Sweep) one(ctx context.Context, w *Workload, ref *reference, f Fault, buf []byte) {
	if _, err := Run(ctx, w, ref, x.reg, f, buf); err != nil {
		x.report(fmt.Errorf("workload %s, fault %v: %w", w.Name(), f, err))
	}
	if f.Kind == Space {
		x.space.Add(1)
	} else {
		x.faults.Add(1)
	}
}

// TopUp fails the sites that a share of the faults has left out.
func (x *Sweep) TopUp(ctx context.Context) {
	buf := make([]byte, 256<<10)
	for _, p := range x.reg.left() {
		if p.w == nil || x.broken() {
			continue
		}
		ref, err := refer(ctx, p.w, nil)
		if err != nil {
			x.report(err)
			return
		}
		for _, n := range lengths[p.kind] {
			x.one(ctx, p.w, ref, Fault{Kind: p.kind, Nth: p.nth, For: n}, buf)
		}
	}
}
