package online

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/internal/asok"
)

// DefragRate is how many bytes a defragmentation moves a second if nobody says.
const DefragRate = 32 << 20

// DefragStatus is what "store defrag start", "status" and "stop" answer.
type DefragStatus struct {
	State    string               `json:"state"` // Idle, Running, Done or Stopped
	Reason   string               `json:"reason,omitempty"`
	Progress ebofs.DefragProgress `json:"progress"`
	Result   *ebofs.DefragResult  `json:"result,omitempty"` // once it has ended
	// Of the store, whoever began it: the option that keeps its score counts, too.
	Running bool    `json:"running"`
	Score   float64 `json:"score"`
	Moved   int64   `json:"moved_bytes"` // since the store was opened
}

// defrag is one defragmentation; all but cancel and ended are guarded by Commands.mu.
type defrag struct {
	cancel context.CancelCauseFunc
	ended  chan struct{}
	s      DefragStatus
}

func (c *Commands) defragCommands() []asok.Command {
	return []asok.Command{
		{Name: "store defrag start", Help: "bring free space together, objects too if asked, while the store is in use", Run: c.defragStart, Args: []asok.Arg{
			{Name: "score", Kind: asok.Int, Help: fmt.Sprintf("percent of the free space that may lie outside of whole stripes, 1 to 99, default %d", int(100*ebofs.DefaultScore))},
			{Name: "rate", Kind: asok.Int, Help: fmt.Sprintf("bytes to move a second, 0 for no limit, default %d", int64(DefragRate))},
			{Name: "objects", Kind: asok.Bool, Help: "also bring together what of an object lies in many pieces; not on hard geometry"},
		}},
		{Name: "store defrag status", Help: "say how far the defragmentation is", Run: c.defragStatus},
		{Name: "store defrag stop", Help: "stop the defragmentation that was started here", Run: c.defragStop},
	}
}

func (c *Commands) defragStart(_ context.Context, r *asok.Request) (any, error) {
	o := ebofs.DefragOptions{Score: ebofs.DefaultScore, BytesPerSecond: DefragRate}
	if r.Has("score") {
		n := r.Int("score")
		if n < 1 || n > 99 {
			return nil, fmt.Errorf("score %d is not from 1 to 99: %w", n, syscall.EINVAL)
		}
		o.Score = float64(n) / 100
	}
	if r.Has("rate") {
		o.BytesPerSecond = uint64(r.Int("rate"))
	}
	sb := c.o.Store.Superblock()
	if o.Objects = r.Bool("objects"); o.Objects && sb.Hard() {
		return nil, fmt.Errorf("objects in pieces are not brought together on hard geometry: %w", syscall.EOPNOTSUPP)
	}
	if err := c.o.Store.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", err, syscall.EROFS)
	}
	c.mu.Lock()
	if c.stop.Err() != nil {
		c.mu.Unlock()
		return nil, fmt.Errorf("%w: %w", errEnds, syscall.ESHUTDOWN)
	}
	if c.defrag != nil && c.defrag.s.State == Running {
		c.mu.Unlock()
		return nil, fmt.Errorf("a defragmentation runs; stop it with: store defrag stop: %w", syscall.EBUSY)
	}
	d := &defrag{ended: make(chan struct{}), s: DefragStatus{State: Running}}
	c.defrag = d
	var ctx context.Context
	ctx, d.cancel = context.WithCancelCause(devices.WithClass(c.stop, devices.ClassClean))
	c.wg.Go(func() { c.defragment(ctx, d, o) })
	c.mu.Unlock()
	return c.defragged(), nil
}

func (c *Commands) defragment(ctx context.Context, d *defrag, o ebofs.DefragOptions) {
	defer close(d.ended)
	defer d.cancel(nil)
	c.o.Logger.Info("defragmentation begins", "goal", o.Score, "rate", o.BytesPerSecond)
	r, err := c.o.Store.Defragment(ctx, o, func(p ebofs.DefragProgress) {
		c.mu.Lock()
		d.s.Progress = p
		c.mu.Unlock()
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	d.s.State, d.s.Result = Done, &r
	if err != nil {
		if ctx.Err() != nil && errors.Is(err, ctx.Err()) {
			err = context.Cause(ctx)
		}
		d.s.State, d.s.Reason = Stopped, err.Error()
	}
	c.o.Logger.Info("defragmentation ends", "state", d.s.State, "reason", d.s.Reason, "before", r.Before, "after", r.After, "bytes", r.Bytes)
}

// defragged is the status as it is now.
func (c *Commands) defragged() DefragStatus {
	s := DefragStatus{State: Idle}
	c.mu.Lock()
	if c.defrag != nil {
		s = c.defrag.s
	}
	c.mu.Unlock()
	s.Running, s.Moved = c.o.Store.Defragmenting()
	s.Score = c.o.Store.Score()
	return s
}

func (c *Commands) defragStatus(context.Context, *asok.Request) (any, error) {
	return c.defragged(), nil
}

func (c *Commands) defragStop(ctx context.Context, _ *asok.Request) (any, error) {
	c.mu.Lock()
	d := c.defrag
	c.mu.Unlock()
	if d == nil {
		return nil, fmt.Errorf("there was no defragmentation yet: %w", syscall.ENOENT)
	}
	d.cancel(errCancelled)
	select {
	case <-d.ended:
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errEnds, syscall.ESHUTDOWN)
	}
	return c.defragged(), nil
}
