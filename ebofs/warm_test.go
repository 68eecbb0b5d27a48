package ebofs

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"testing"

	"ebofs/devices"
)

// TestWarm reads objects in no order after a mount: with Warm none of them waits for a
// leaf, and the leaves were read many at a time.
func TestWarm(t *testing.T) {
	const objects = 6000
	o := newOrdered(t, objects, blockSize)
	order := rand.New(rand.NewPCG(3, 4)).Perm(objects)
	read := func(opt Options) (misses uint64, begun, all int64) {
		closeStore(t, o.Store)
		o.Store = open(t, o.dev, opt)
		before, calls := o.pages.Stats().Misses, o.sched.Class(devices.ClassScrub).Calls
		for _, i := range order {
			o.check(t, i)
		}
		return o.pages.Stats().Misses - before, calls, o.sched.Class(devices.ClassScrub).Calls
	}
	cold, _, _ := read(Options{Inline: true})
	warm, begun, all := read(Options{Inline: true, Warm: true})
	if cold < 20 || warm != 0 || begun == 0 || begun > int64(cold)/2 || all != begun {
		t.Errorf("misses: %d without, %d with, after %d background reads (%d at the end)", cold, warm, begun, all)
	}
	if _, begun, _ := read(Options{ReadOnly: true, Warm: true}); begun != 0 {
		t.Errorf("read-only: %d background reads", begun)
	}
	// And beside readers.
	closeStore(t, o.Store)
	o.Store = open(t, o.dev, Options{Warm: true})
	for _, i := range order {
		o.check(t, i)
	}
}

// TestWarmTakesSpare gives pages what object data has no use of, and no more.
func TestWarmTakesSpare(t *testing.T) {
	s := newStore(t, newMem(64), FormatOptions{}, quiet())
	defer closeStore(t, s)
	d := &s.shares
	budget := func() int64 {
		b, left := s.pages.Cache.Stats().Budget, d.pagesBudget()
		if b > left || b < left-64 {
			t.Errorf("pages have a budget of %d and their share is %d", b, left)
		}
		return left
	}
	if first := budget(); first < d.floor || first+d.object+d.dirty > d.total {
		t.Errorf("pages begin with %d, object data with %d, of %d", first, d.object, d.total)
	}
	block := make([]byte, blockSize)
	for i := 0; s.data.Stats().Bytes < d.least+2*d.step; i++ {
		s.data.Put(uint64(i), uint32(i), block)
	}
	d.take(d.total)
	if object := d.object; d.spare(budget()) || d.object != object {
		t.Errorf("with all memory dirty object data went from %d to %d", object, d.object)
	}
	d.take(-d.total)
	steps, first := int64(0), budget()
	for had := first; d.spare(had); steps++ {
		now := budget()
		if now <= had || now > had+d.step {
			t.Fatalf("step %d: pages had %d and have %d", steps, had, now)
		}
		if !d.spare(had) || budget() != now {
			t.Fatal("who came late was given a second step")
		}
		had = now
	}
	if has := s.data.Stats().Bytes; steps < 2 || d.object != has {
		t.Errorf("object data has %d of %d bytes after %d steps of %d", has, d.object, steps, d.step)
	}
}

// behind is a device that treats reads somebody may call off, which only background
// work makes, in its own way.
type behind struct {
	*devices.Mem
	read func(ctx context.Context) error
}

func (d *behind) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if ctx.Done() != nil {
		return d.read(ctx)
	}
	return d.Mem.Read(ctx, b, v)
}

// heard is what a store warns of.
type heard chan string

func (h heard) Write(p []byte) (int, error) {
	h <- string(p)
	return len(p), nil
}

// TestWarmClose closes a store that has just begun, and one whose device fails: objects
// are there, nothing waits, and only the second has something to say, once, in its own time.
func TestWarmClose(t *testing.T) {
	o := newOrdered(t, 2000, blockSize)
	for _, c := range []struct {
		name string
		read func(ctx context.Context) error
		want int
	}{
		{"slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, 0},
		{"broken", func(context.Context) error { return errors.New("broken") }, 1},
	} {
		closeStore(t, o.Store)
		asked := make(chan struct{}, 1000)
		log := make(heard, 100)
		dev := &behind{o.dev, func(ctx context.Context) error { asked <- struct{}{}; return c.read(ctx) }}
		opt := quiet()
		opt.Warm, opt.Logger = true, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
		o.Store = open(t, dev, opt)
		<-asked
		for i := range 100 {
			o.check(t, i*7)
		}
		for range c.want {
			<-log
		}
		closeStore(t, o.Store)
		if len(log) > 0 {
			t.Errorf("%s: more than %d warnings: %s", c.name, c.want, <-log)
		}
		o.Store = open(t, o.dev, quiet())
	}
}
