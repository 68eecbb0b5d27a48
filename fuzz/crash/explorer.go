package crash

import (
	"context"
	"iter"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"ebofs/devices"
	"ebofs/devices/crashdev"
)

// Plan says how much of a workload is tried. The zero value is everything but
// deep checks and nested crashes.
type Plan struct {
	// Points is how many points of the trace are tried, chosen at random; 0: all.
	Points int
	// States is how many states of each point, "nothing kept" and "all kept" among
	// them; 0: all that crashdev.Policy lists.
	States int
	// DeepEvery and NestEvery make every n-th state a deep one and a nested one;
	// 0: none. Of a nested state, NestStates states inside its recovery are tried,
	// each third of them nested once more; negative: all of them, not nested again.
	DeepEvery, NestEvery, NestStates int
	// Only, if set, leaves out points of the workload and, where NestStates is
	// negative, of recoveries.
	Only func(p crashdev.Point) bool
}

// Job is a workload and what is tried of it.
type Job struct {
	Workload Workload
	Plan     Plan
}

// Failure is a state that broke a promise, with what repeats it.
type Failure struct {
	Workload string
	State    string // empty: the workload itself failed, without a crash
	Err      error
}

func (f *Failure) Error() string {
	s := f.Workload
	if f.State != "" {
		s += ": " + f.State
	}
	return s + ": " + f.Err.Error()
}

// Unwrap returns what was wrong.
func (f *Failure) Unwrap() error { return f.Err }

// Explorer runs jobs and counts what it tried.
type Explorer struct {
	base   *base
	target *Target

	states, nested, workloads atomic.Int64

	mu       sync.Mutex
	failures []*Failure
}

// maxFailures ends a run: what follows the first few says nothing new.
const maxFailures = 12

// New formats a store of the target and fills it; every workload starts there.
func New(ctx context.Context, target *Target) (*Explorer, error) {
	b, err := newBase(ctx, target)
	if err != nil {
		return nil, err
	}
	return &Explorer{base: b, target: target}, nil
}

// States returns the number of states tried so far, nested ones included.
func (x *Explorer) States() int64 { return x.states.Load() }

// Nested returns how many of them were crashes inside a recovery.
func (x *Explorer) Nested() int64 { return x.nested.Load() }

// Workloads returns the number of workloads finished.
func (x *Explorer) Workloads() int64 { return x.workloads.Load() }

// Failures returns what was found, in no order.
func (x *Explorer) Failures() []*Failure {
	x.mu.Lock()
	defer x.mu.Unlock()
	return slices.Clone(x.failures)
}

// Run tries jobs, as many at once as there are processors, until they end, the
// context does, or enough failures were found.
func (x *Explorer) Run(ctx context.Context, jobs iter.Seq[Job]) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	queue := make(chan Job)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			v := &visitor{target: x.target, base: x.base, buf: make([]byte, 256<<10)}
			for j := range queue {
				x.job(ctx, v, j)
				x.workloads.Add(1)
				if len(x.Failures()) >= maxFailures {
					cancel()
				}
			}
		})
	}
feed:
	for j := range jobs {
		select {
		case queue <- j:
		case <-ctx.Done():
			break feed
		}
	}
	close(queue)
	wg.Wait()
}

// job runs one workload and crashes it.
func (x *Explorer) job(ctx context.Context, v *visitor, j Job) {
	name := j.Workload.Name()
	t, err := j.Workload.run(ctx, x.target, x.base)
	if err != nil {
		x.fail(ctx, &Failure{name, "", err})
		return
	}
	r := rand.New(rand.NewPCG(j.Workload.seed(), 1))
	points := slices.DeleteFunc(t.dev.Points(), func(p crashdev.Point) bool {
		return p.Tag < t.from || j.Plan.Only != nil && !j.Plan.Only(p)
	})
	if n := j.Plan.Points; n > 0 && n < len(points) {
		r.Shuffle(len(points), func(i, k int) { points[i], points[k] = points[k], points[i] })
		points = points[:n]
	}
	seen := new(crashdev.Seen)
	count := r.IntN(1 << 16) // so that short workloads, too, have deep and nested states
	for _, p := range points {
		policy := crashdev.Policy{Limit: j.Plan.States, Seed: r.Uint64(), Seen: seen}
		e := t.at(p.Tag)
		for st := range t.dev.States(p, policy) {
			if ctx.Err() != nil {
				return
			}
			count++
			d := depth{deep: every(count, j.Plan.DeepEvery)}
			if every(count+1, j.Plan.NestEvery) {
				d.nested = 2
			}
			if !x.state(ctx, v, st.Mem, e, d, name, st.String(), r, j.Plan) {
				return
			}
		}
	}
}

func every(count, n int) bool { return n > 0 && count%n == 0 }

// state visits one state and, for d.nested > 0, states inside its recovery. It
// reports whether all was well.
func (x *Explorer) state(ctx context.Context, v *visitor, mem *devices.Mem, e expectation, d depth, name, what string, r *rand.Rand, plan Plan) bool {
	recovery, points, err := v.visit(ctx, mem, e, d)
	x.states.Add(1)
	if err != nil {
		x.fail(ctx, &Failure{name, what, err})
		return false
	}
	if len(points) == 0 {
		return true
	}
	if plan.NestStates < 0 {
		for _, p := range points {
			if plan.Only != nil && !plan.Only(p) {
				continue
			}
			for st := range recovery.States(p, crashdev.Policy{Seed: r.Uint64()}) {
				if !x.inner(ctx, v, st, e, depth{}, name, what, r, plan) {
					return false
				}
			}
		}
		return true
	}
	for i := range plan.NestStates {
		p := points[r.IntN(len(points))]
		inner := depth{}
		if i%3 == 2 {
			inner.nested = d.nested - 1
		}
		// "Nothing kept" comes first and mostly equals the state we came from.
		nth, list := r.IntN(3), 0
		for st := range recovery.States(p, crashdev.Policy{Limit: 3, Seed: r.Uint64()}) {
			if list++; list <= nth {
				continue
			}
			if !x.inner(ctx, v, st, e, inner, name, what, r, plan) {
				return false
			}
			break
		}
	}
	return true
}

// inner visits a state of a crash inside the recovery from the state called what.
func (x *Explorer) inner(ctx context.Context, v *visitor, st *crashdev.State, e expectation, d depth, name, what string, r *rand.Rand, plan Plan) bool {
	x.nested.Add(1)
	return x.state(ctx, v, st.Mem, e, d, name, what+": in its recovery: "+st.String(), r, plan)
}

// fail notes a failure, unless it comes from being told to stop.
func (x *Explorer) fail(ctx context.Context, f *Failure) {
	if ctx.Err() != nil {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.failures = append(x.failures, f)
}
