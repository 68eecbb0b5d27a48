package online

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"
	"time"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/ebofs/check"
	"ebofs/internal/asok"
)

// DefaultRate is how many bytes a check reads a second: a fifth of what a spinning
// disk gives, and a TiB in nine hours.
const DefaultRate = 32 << 20

// defaultLease is how long a check goes on though nobody asks about it. Clients ask
// four times a second; one that is stopped for a minute has been forgotten.
const defaultLease = 60 * time.Second

// Why a check was stopped.
var (
	errCancelled = errors.New("cancelled")
	errLease     = errors.New("nobody asked about it any more")
	errEnds      = errors.New("the process that has the store ends")
)

// The states of a check, in CheckStatus.State.
const (
	Idle    = "idle"
	Running = "running"
	Done    = "done"
	Stopped = "stopped"
)

// CheckStatus is what "store check start", "status" and "cancel" answer.
type CheckStatus struct {
	ID       int            `json:"id"`
	State    string         `json:"state"`
	Reason   string         `json:"reason,omitempty"` // of a check that was stopped
	Epoch    uint64         `json:"epoch"`            // being checked
	Pins     int            `json:"pins"`             // checkpoints pinned so far
	Phase    string         `json:"phase,omitempty"`
	Pass     int            `json:"pass"`
	Done     uint64         `json:"done"` // objects looked at in this pass
	Total    uint64         `json:"total"`
	Position check.Position `json:"position"`
	Report   *check.Report  `json:"report,omitempty"` // once it has ended
}

// job is one check.
type job struct {
	c      *Commands
	level  check.Level
	rate   int64
	memory int64
	lease  time.Duration
	cancel context.CancelCauseFunc
	ended  chan struct{}

	mu     sync.Mutex
	s      CheckStatus
	asked  time.Time            // last
	before *check.Report        // of the parts that have ended; nil: none
	part   func() *check.Report // of the one that runs; nil: it has not begun
}

// checkStart begins a check if none runs.
func (c *Commands) checkStart(_ context.Context, r *asok.Request) (any, error) {
	j := &job{c: c, rate: DefaultRate, memory: r.Int("memory"), lease: defaultLease, level: check.Full, ended: make(chan struct{})}
	if r.Has("level") {
		j.level, _ = check.ParseLevel(r.String("level")) // one of the choices
	}
	if r.Has("rate") {
		j.rate = r.Int("rate")
	}
	if r.Has("lease") {
		j.lease = time.Duration(min(r.Int("lease"), 1<<30)) * time.Second
	}
	if r.Has("position") {
		if err := json.Unmarshal([]byte(r.String("position")), &j.s.Position); err != nil {
			return nil, fmt.Errorf("position: %v: %w", err, syscall.EINVAL)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stop.Err() != nil {
		return nil, fmt.Errorf("%w: %w", errEnds, syscall.ESHUTDOWN)
	}
	if c.job != nil && c.job.status().State == Running {
		return nil, fmt.Errorf("check %d is running; stop it with: store check cancel: %w", c.job.s.ID, syscall.EBUSY)
	}
	c.last++
	j.s.ID, j.s.State = c.last, Running
	c.job = j
	var ctx context.Context
	ctx, j.cancel = context.WithCancelCause(c.stop)
	j.asked = c.o.Now()
	begun := j.s
	c.wg.Go(func() { j.run(ctx) })
	return begun, nil
}

// find returns the job a request is about.
func (c *Commands) find(r *asok.Request) (*job, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch id := r.Int("id"); {
	case c.job == nil:
		return nil, fmt.Errorf("there was no check yet: %w", syscall.ENOENT)
	case r.Has("id") && id != int64(c.job.s.ID):
		return nil, fmt.Errorf("there is no check %d any more: %w", id, syscall.ENOENT)
	}
	return c.job, nil
}

func (c *Commands) checkStatus(_ context.Context, r *asok.Request) (any, error) {
	j, err := c.find(r)
	if err != nil {
		return nil, err
	}
	j.mu.Lock()
	j.asked = c.o.Now()
	s, before, part := j.s, j.before, j.part
	j.mu.Unlock()
	if r.Bool("report") && s.State == Running {
		if s.Report = before; part != nil {
			s.Report = check.Merge(before, part())
		}
	}
	return s, nil
}

func (c *Commands) checkCancel(ctx context.Context, r *asok.Request) (any, error) {
	j, err := c.find(r)
	if err != nil {
		return nil, err
	}
	j.cancel(errCancelled)
	select {
	case <-j.ended:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errEnds, syscall.ESHUTDOWN)
	}
	return j.status(), nil
}

func (j *job) status() CheckStatus {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.s
}

// run checks until there is nothing left or no way to go on.
func (j *job) run(ctx context.Context) {
	defer close(j.ended)
	defer j.cancel(nil)
	log := j.c.o.Logger
	log.Info("check of the store in use begins", "level", j.level)
	over := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() { j.watch(over) })
	rep, err := j.parts(ctx)
	close(over)
	watch.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.s.Report, j.s.State = rep, Done
	if rep != nil && rep.Position != nil {
		j.s.Position = *rep.Position
	}
	if err != nil {
		j.s.State, j.s.Reason = Stopped, err.Error()
		if rep != nil {
			cut := *rep // others may be reading rep
			cut.Complete, cut.Stopped = false, rep.Complete
			j.s.Report = &cut
		}
	}
	log.Info("check of the store in use ends", "state", j.s.State, "reason", j.s.Reason)
}

// watch stops the check when its lease is over.
func (j *job) watch(over <-chan struct{}) {
	if j.lease == 0 {
		<-over
		return
	}
	tick := time.NewTicker(max(j.lease/8, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-over:
			return
		case <-tick.C:
			j.mu.Lock()
			idle := j.c.o.Now().Sub(j.asked)
			j.mu.Unlock()
			if idle > j.lease {
				j.cancel(errLease)
			}
		}
	}
}

// maxStuck is how many pins may expire in a row before the check got any further.
const maxStuck = 3

// parts checks at one pinned checkpoint after another.
func (j *job) parts(ctx context.Context) (all *check.Report, err error) {
	// So that all that was committed before the check is checked. A store that has
	// stopped is checked as it stopped.
	if err := j.c.o.Store.Checkpoint(ctx); err != nil {
		j.c.o.Logger.Info("checking the last checkpoint there was", "err", err)
	}
	for stuck := 0; ; {
		from := j.status().Position
		rep, err := j.pinned(ctx, from, rootSeen(all))
		if rep != nil {
			all = check.Merge(all, rep)
		}
		if !errors.Is(err, ebofs.ErrPinExpired) || ctx.Err() != nil {
			return all, err
		}
		if rep.Position.Further(from) {
			stuck = 0
		} else if stuck++; stuck == maxStuck {
			return all, fmt.Errorf("space is short: no checkpoint can be kept long enough to get on")
		}
		j.mu.Lock()
		j.s.Position, j.before, j.part = *rep.Position, all, nil
		j.mu.Unlock()
	}
}

// rootSeen reports whether a check came past labels, slots and log.
func rootSeen(r *check.Report) bool {
	return r != nil && slices.ContainsFunc(r.Phases, func(p check.Phase) bool { return p.Name == "root" })
}

// pinned checks the newest checkpoint, from a position on, not for the first time if
// again is set.
func (j *job) pinned(ctx context.Context, from check.Position, again bool) (*check.Report, error) {
	pin, err := j.c.o.Store.Pin()
	if err != nil {
		return nil, err
	}
	defer pin.Close()
	ctx, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	watch.Go(func() {
		select {
		case <-pin.Expired():
			cancel(pin.Err())
		case <-ctx.Done():
		}
	})
	defer watch.Wait()
	defer cancel(nil)
	sb := pin.Superblock()
	j.mu.Lock()
	j.s.Epoch = sb.Epoch
	j.s.Pins++
	j.mu.Unlock()
	o := check.Options{
		Level: j.level, Super: &sb, Online: &check.Online{Valid: pin.Err, From: from, Again: again},
		MemoryBytes: j.memory, Workers: 1, Progress: j.progress, Now: j.c.o.Now,
	}
	dev := j.c.o.Device
	if j.rate > 0 {
		dev = devices.NewThrottle(dev, j.rate)
	}
	if o.LogDevice = j.c.o.LogDevice; j.rate > 0 && o.LogDevice != nil {
		o.LogDevice = devices.NewThrottle(o.LogDevice, j.rate)
	}
	return check.Run(devices.WithClass(ctx, devices.ClassScrub), dev, o)
}

func (j *job) progress(p check.Progress) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.part = p.Report
	j.s.Phase, j.s.Pass, j.s.Done, j.s.Total, j.s.Position = p.Phase, p.Pass, p.Done, p.Total, p.Position
}
