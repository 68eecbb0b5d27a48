package daemon_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/osd"
)

// gate is a store whose commits can be held up.
type gate struct {
	osd.ObjectStore
	mu      sync.Mutex
	held    bool
	waiting []func()
}

func (g *gate) Queue(ctx context.Context, t *osd.Transaction, applied func(), committed func(error)) error {
	return g.ObjectStore.Queue(ctx, t, applied, func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.held {
			g.waiting = append(g.waiting, func() { committed(err) })
			return
		}
		go committed(err)
	})
}

func (g *gate) hold(yes bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held = yes; !yes {
		for _, f := range g.waiting {
			go f()
		}
		g.waiting = nil
	}
}

// TestSlowOps: a request that waits for too long is reported with what it waits for,
// and forgotten once it is done.
func TestSlowOps(t *testing.T) {
	c := newCluster(t)
	c.stop()
	g := &gate{}
	c.complain, c.wrap = 100*time.Millisecond, func(s osd.ObjectStore) osd.ObjectStore { g.ObjectStore = s; return g }
	c.start()
	x := c.client("client.admin", c.admin)
	x.pool("p", 1)
	x.do("p", "o", writeFull("x"))
	g.hold(true)
	defer g.hold(false)
	late := x.start("p", "o", writeFull("late"))
	second := x.start("p", "o", read()) // it waits for the write
	eventually(t, x.health, "SLOW_OPS", "2 slow ops, oldest one blocked for ", "osd.0 has slow ops")
	eventually(t, x.lastLog, "2 slow requests (by type [ 'waiting for rw locks' : 1 'waiting for commit' : 1 ] most affected pool [ 'p' : 2 ])")
	eventually(t, func() string { return string(x.tell(`{"prefix":"dump_blocked_ops"}`).Output) }, `"num_blocked_ops": 2`, `"flag_point": "waiting for commit"`, `:::o:head [writefull 0~4]`)
	g.hold(false)
	for _, ch := range []<-chan struct{}{done(late), done(second)} {
		select {
		case <-ch:
		case <-time.After(time.Minute):
			t.Fatal("no reply")
		}
	}
	eventually(t, func() string {
		if h := x.health(); strings.Contains(h, "SLOW_OPS") {
			return h
		}
		return "gone"
	}, "gone")
}

// done is closed when a reply has come.
func done[T any](c chan T) <-chan struct{} {
	d := make(chan struct{})
	go func() { <-c; close(d) }()
	return d
}
