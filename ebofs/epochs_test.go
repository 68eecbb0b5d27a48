package ebofs

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"ebofs/devices"
)

// gate is a device that holds an I/O in flight until it is told to go on, and
// so a checkpoint at any of its steps.
type gate struct {
	*devices.Mem

	// folds: of all reads only those of the fold are held. Whoever wants the page
	// that a held read brings waits with it, and the test may be among them.
	folds bool

	mu   sync.Mutex
	skip int // I/Os to let through; < 0: not armed
	hit  chan struct{}
	open chan struct{}
}

func newGate(mem *devices.Mem) *gate { return &gate{Mem: mem, skip: -1} }

// arm makes the I/O after the next n wait. hit is closed when it does; closing
// open lets it go on.
func (g *gate) arm(n int) (hit, open chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.skip, g.hit, g.open = n, make(chan struct{}), make(chan struct{})
	return g.hit, g.open
}

func (g *gate) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.skip = -1
}

func (g *gate) wait() {
	g.mu.Lock()
	if g.skip != 0 {
		g.skip = max(g.skip-1, -1)
		g.mu.Unlock()
		return
	}
	g.skip = -1
	open := g.open
	close(g.hit)
	g.mu.Unlock()
	<-open
}

func (g *gate) Write(ctx context.Context, b devices.Block, v devices.Vec) error {
	g.wait()
	return g.Mem.Write(ctx, b, v)
}

func (g *gate) Read(ctx context.Context, b devices.Block, v devices.Vec) error {
	if !g.folds || folding() {
		g.wait()
	}
	return g.Mem.Read(ctx, b, v)
}

// folding reports whether the caller merges bytes with a block.
func folding() bool {
	var pc [16]uintptr
	frames := runtime.CallersFrames(pc[:runtime.Callers(2, pc[:])])
	for {
		f, more := frames.Next()
		if strings.HasSuffix(f.Function, "(*folder).merge") {
			return true
		}
		if !more {
			return false
		}
	}
}

func (g *gate) Flush(ctx context.Context) error {
	g.wait()
	return g.Mem.Flush(ctx)
}

// quiet are options of a store that checkpoints when told to and not before.
func quiet() Options {
	return Options{CheckpointInterval: time.Hour, MaxDirtyBytes: 1 << 30}
}

// TestChangesDuringCheckpoint holds checkpoints at their writes, changes the
// very objects they save, and compares with a model: while the checkpoint
// waits, after it, and after crashes at each of these moments.
func TestChangesDuringCheckpoint(t *testing.T) {
	eachSeed(t, 14, changesDuringCheckpoint)
}

func changesDuringCheckpoint(t *testing.T, seed uint64) {
	g := &generator{Rand: rand.New(rand.NewPCG(seed, 3)), names: 2 + int(seed%7), maxSize: 3 << 18}
	mem := newMem(192)
	fo := FormatOptions{LogBytes: 24 << 20}
	if hard := seed%4 == 3; hard {
		fo.StripeBytes, fo.Hard = 96<<10, &hard
	}
	format(t, mem, fo)
	fresh := freeBlocks(t, mem)
	opt := quiet()
	if seed%3 == 0 {
		opt.MaxOnodes = 1
	}
	var dev *gate
	var s *Store
	mount := func(m *devices.Mem) {
		t.Helper()
		dev = newGate(m)
		dev.folds = true
		s = open(t, dev, opt)
	}
	mount(mem)
	holds, crashes := 0, 0
	m := model{}
	apply(t, s, func(x *Txn) { x.MkColl(mainColl, mainSpec) })

	// crash opens what is on the device now, checks it, and tells whether to go
	// on with it.
	crash := func(what string, adopt bool) {
		t.Helper()
		image := dev.Mem.Snapshot()
		crashes++
		r := open(t, image.Snapshot(), Options{ReadOnly: true, Inline: true})
		if err := compare(r, mainColl, m); err != nil {
			t.Fatalf("%s, read-only: %v", what, err)
		}
		closeStore(t, r)
		if !adopt {
			return
		}
		old := s
		mount(image)
		if err := compare(s, mainColl, m); err != nil {
			t.Fatalf("%s, replayed: %v", what, err)
		}
		checkSpace(t, s)
		fsck(t, dev.Mem.Snapshot())
		go old.Close(bg) // of a device nobody looks at any more
	}
	// A clone would wait for the very fold that is held.
	g.only = func(o *modelOp) bool {
		s.gate.RLock()
		defer s.gate.RUnlock()
		return !o.code.clones() || s.folded.Load()+1 == s.epoch
	}
	for round := range 14 {
		for range g.IntN(12) {
			g.step(t, s, m)
		}
		hit, open := dev.arm(g.IntN(8))
		done := make(chan error, 1)
		go func() { done <- s.Checkpoint(bg) }()
		var err error
		held := true
		for held {
			select {
			case <-hit:
				holds++
				var list []string
				for range 1 + g.IntN(10) {
					list = append(list, opList(g.step(t, s, m)))
				}
				if err := compare(s, mainColl, m); err != nil {
					t.Fatalf("round %d, during the checkpoint: %v\n%v", round, err, list)
				}
				switch g.IntN(10) {
				case 0:
					crash(fmt.Sprint("crash in checkpoint of round ", round), false)
				case 1: // go on with what the crash left
					release := open
					crash(fmt.Sprint("crash in checkpoint of round ", round), true)
					close(release)
					<-done
					done <- nil
					open = nil
				}
				if open != nil {
					again := open
					hit, open = dev.arm(g.IntN(8))
					close(again)
				} else {
					hit = nil
				}
			case err = <-done:
				held = false
			}
		}
		dev.disarm()
		if err != nil {
			t.Fatal(err)
		}
		if err := compare(s, mainColl, m); err != nil {
			t.Fatalf("round %d, after the checkpoint: %v", round, err)
		}
		checkSpace(t, s)
		if g.IntN(3) == 0 {
			mustCheckpoint(t, s)
			checkLeaks(t, s, dev.Mem)
		}
		fsck(t, dev.Mem.Snapshot())
		switch g.IntN(6) {
		case 0:
			crash(fmt.Sprint("crash after round ", round), true)
		case 1:
			closeStore(t, s)
			mount(dev.Mem)
			mustCompare(t, s, m)
		}
	}
	if holds < 7 {
		t.Errorf("checkpoints were held %d times only", holds)
	}
	t.Logf("%d holds, %d crashes", holds, crashes)
	for name := range m {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, oid(name)) })
	}
	apply(t, s, func(x *Txn) { x.RmColl(mainColl) })
	closeStore(t, s)
	if r := fsck(t, dev.Mem); r.Counts.DataBlocks != 0 || r.Counts.MetaBlocks != 0 {
		t.Errorf("an empty store uses blocks: %+v", r.Counts)
	}
	if got := freeBlocks(t, dev.Mem); got != fresh {
		t.Errorf("%d blocks are free after everything was removed, %d in a fresh store", got, fresh)
	}
}
