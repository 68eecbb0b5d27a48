package ebofs

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"syscall"
	"testing"
	"time"

	"ebofs/devices"
	"ebofs/ebofs/check"
)

// trimmedStore is a store with objects 0 to 9, of which the odd ones are removed and
// their space is free, on a device that says what it discards.
func trimmedStore(t *testing.T, g devices.Geometry, o Options) (*Store, *devices.Mem, *[][2]uint64) {
	t.Helper()
	var mu sync.Mutex
	gone := new([][2]uint64)
	mem := devices.NewMem(devices.MemOptions{Geometry: &g, Hook: func(_ context.Context, op devices.Op, b devices.Block, n uint64) error {
		if op == devices.OpDiscard {
			mu.Lock()
			defer mu.Unlock()
			*gone = append(*gone, [2]uint64{uint64(b), n})
		}
		return nil
	}})
	s := newStore(t, mem, FormatOptions{LogBytes: 4 * mib}, o)
	for i := range 10 {
		apply(t, s, func(x *Txn) { x.Write(mainColl, growObject(i), 0, pattern(i, 0, 700<<10)) })
	}
	mustCheckpoint(t, s)
	for i := range 5 {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, growObject(2*i+1)) })
	}
	mustCheckpoint(t, s)
	return s, mem, gone
}

func trimGeometry(discard uint32) devices.Geometry {
	g := devices.DefaultGeometry(64 * mib / blockSize)
	g.DiscardBytes = discard
	return g
}

// checkTrimmed: the even objects are there, whatever was discarded.
func checkTrimmed(t *testing.T, s *Store) {
	t.Helper()
	for i := 0; i < 10; i += 2 {
		if got, err := content(s, growObject(i)); err != nil || !bytes.Equal(got, pattern(i, 0, 700<<10)) {
			t.Errorf("object %d: %d bytes, %v", i, len(got), err)
		}
	}
}

// TestTrim: what is free is discarded, in the device's units, and nothing else.
func TestTrim(t *testing.T) {
	for _, unit := range []uint32{512, 4096, 64 << 10, 192 << 10} {
		s, mem, gone := trimmedStore(t, trimGeometry(unit), Options{Inline: true})
		plan, err := s.Trim(bg, TrimOptions{MinBytes: 256 << 10, DryRun: true})
		if err != nil || len(*gone) != 0 {
			t.Fatalf("dry run: %v, discarded %v", err, *gone)
		}
		var last [2]uint64
		r, err := s.Trim(bg, TrimOptions{MinBytes: 256 << 10, Progress: func(done, total uint64) { last = [2]uint64{done, total} }})
		if err != nil {
			t.Fatal(err)
		}
		var sum uint64
		for _, e := range *gone {
			sum += e[1] * blockSize
			if e[1]*blockSize < 256<<10 || e[0]*blockSize%uint64(unit) != 0 || e[1]*blockSize%uint64(unit) != 0 {
				t.Errorf("unit %d: discarded %d~%d", unit, e[0], e[1])
			}
		}
		if r != plan {
			t.Errorf("%+v, the dry run said %+v", r, plan)
		}
		n := s.space.counts()
		if r.Bytes != sum || r.Runs != uint64(len(*gone)) || r.Bytes+r.Skipped != (n.free-s.space.stashed)*blockSize || r.Bytes < 20*mib || last[0] != last[1] || last[1] != n.total {
			t.Errorf("unit %d: %+v: %d bytes in %d commands, %d blocks free, progress %v", unit, r, sum, len(*gone), n.free, last)
		}
		checkTrimmed(t, s)
		checkSpace(t, s)
		closeStore(t, s)
		fsck(t, mem)
	}
}

// TestTrimRefuses: no device that discards, no store that may be written.
func TestTrimRefuses(t *testing.T) {
	s, mem, gone := trimmedStore(t, trimGeometry(0), Options{Inline: true})
	if _, err := s.Trim(bg, TrimOptions{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("no discards: %v", err)
	}
	closeStore(t, s)
	if _, err := s.Trim(bg, TrimOptions{}); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	s = open(t, mem, Options{ReadOnly: true})
	if _, err := s.Trim(bg, TrimOptions{}); !errors.Is(err, ErrReadOnly) {
		t.Errorf("read-only: %v", err)
	}
	closeStore(t, s)
	if len(*gone) != 0 {
		t.Errorf("discarded %v", *gone)
	}
}

// TestTrimStops: a rate holds it back, and it ends between two commands.
func TestTrimStops(t *testing.T) {
	s, _, gone := trimmedStore(t, trimGeometry(4096), Options{Inline: true})
	ctx, cancel := context.WithCancel(bg)
	var waited time.Duration
	r, err := s.Trim(ctx, TrimOptions{BytesPerSecond: 1 * mib, pause: func(_ context.Context, d time.Duration) error {
		if waited += d; len(*gone) == 3 {
			cancel()
		}
		return nil
	}})
	if !errors.Is(err, context.Canceled) || r.Runs != 3 || len(*gone) != 3 {
		t.Errorf("%+v, %v: %d commands", r, err, len(*gone))
	}
	if least := time.Duration(r.Bytes/mib) * time.Second / 2; waited < least {
		t.Errorf("%d bytes at 1 MiB a second: waited %v", r.Bytes, waited)
	}
	checkTrimmed(t, s)
	checkSpace(t, s)
	closeStore(t, s)
}

// fullDiscards is a device that discards until it has done so left times.
type fullDiscards struct {
	*devices.Mem
	left int
}

func (d *fullDiscards) Discard(ctx context.Context, b devices.Block, n uint64) error {
	if d.left--; d.left < 0 {
		return syscall.EIO
	}
	return d.Mem.Discard(ctx, b, n)
}

// TestTrimFails: a device that refuses ends the trim, and the blocks stay free.
func TestTrimFails(t *testing.T) {
	s, mem, _ := trimmedStore(t, trimGeometry(4096), Options{Inline: true})
	closeStore(t, s)
	dev := &fullDiscards{mem, 2}
	s = open(t, dev, Options{Inline: true})
	free := s.space.counts().free
	r, err := s.Trim(bg, TrimOptions{BytesPerSecond: 1 << 50})
	if !errors.Is(err, syscall.EIO) || r.Runs != 2 || s.space.counts().free != free {
		t.Errorf("%+v, %v: %d blocks free, before %d", r, err, s.space.counts().free, free)
	}
	ctx, cancel := context.WithCancel(bg)
	dev.left = 1
	r, err = s.Trim(ctx, TrimOptions{BytesPerSecond: 1, Progress: func(_, _ uint64) { time.AfterFunc(time.Millisecond, cancel) }})
	if !errors.Is(err, context.Canceled) || r.Runs > 1 {
		t.Errorf("cancelled while it waits: %+v, %v", r, err)
	}
	dev.left = 1000
	if r, err := s.Trim(bg, TrimOptions{}); err != nil || r.Bytes < 10*mib {
		t.Errorf("once it works: %+v, %v", r, err)
	}
	checkTrimmed(t, s)
	checkSpace(t, s)
	closeStore(t, s)
	fsck(t, mem)
}

// TestTrimKeepsLimbo: what a pin or a reader may still reach is not discarded.
func TestTrimKeepsLimbo(t *testing.T) {
	s, mem, gone := trimmedStore(t, trimGeometry(4096), Options{Inline: true})
	pin, err := s.Pin()
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < 10; i += 4 {
		apply(t, s, func(x *Txn) { x.Remove(mainColl, growObject(i)) })
	}
	mustCheckpoint(t, s)
	if limbo := s.space.counts().limbo; limbo < 300 {
		t.Fatalf("the pin holds %d blocks", limbo)
	}
	trim := func() uint64 {
		t.Helper()
		*gone = nil
		r, err := s.Trim(bg, TrimOptions{MinBytes: 4096})
		if err != nil || r.Bytes == 0 {
			t.Fatalf("%+v, %v", r, err)
		}
		return r.Bytes
	}
	before := trim()
	sb := pin.Superblock()
	rep, err := check.Run(bg, mem, check.Options{Level: check.Deep, Workers: 1, Super: &sb})
	if err != nil || !rep.OK() || pin.Err() != nil {
		t.Fatalf("the pinned checkpoint: %v, %v, %+v", err, pin.Err(), rep.Problems)
	}
	reader := s.guard.enter()
	pin.Close()
	if during := trim(); during > before+64*blockSize {
		t.Errorf("with a reader inside %d bytes were discarded, before %d", during, before)
	}
	s.guard.leave(reader)
	mustCheckpoint(t, s)
	if after := trim(); after < before+1*mib {
		t.Errorf("%d bytes discarded, before %d", after, before)
	}
	closeStore(t, s)
	fsck(t, mem)
}

// TestTrimBusy discards all the time while others write, read and remove, on a store
// that is nearly full.
func TestTrimBusy(t *testing.T) {
	g := trimGeometry(4096)
	mem := devices.NewMem(devices.MemOptions{Geometry: &g})
	s := newStore(t, mem, FormatOptions{LogBytes: 4 * mib}, Options{CheckpointInterval: 20 * time.Millisecond})
	stop, ended := make(chan bool), make(chan error)
	go func() {
		var err error
		for err == nil {
			select {
			case <-stop:
				close(ended)
				return
			default:
				_, err = s.Trim(bg, TrimOptions{MinBytes: 16 << 10})
			}
		}
		ended <- err
	}()
	var wg sync.WaitGroup
	rounds := 30
	if testing.Short() {
		rounds = 10
	}
	for w := range 6 {
		wg.Go(func() {
			for n := 1; n <= rounds; n++ {
				x := NewTxn()
				x.Write(mainColl, growObject(w), 0, pattern(w, n, 900<<10))
				if err := s.Apply(bg, x); err != nil {
					t.Error(err)
					return
				}
				if got, err := content(s, growObject(w)); err != nil || !bytes.Equal(got, pattern(w, n, 900<<10)) {
					t.Errorf("object %d, round %d: %d bytes, %v", w, n, len(got), err)
					return
				}
			}
		})
	}
	wg.Wait()
	close(stop)
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	fsck(t, mem)
	s = open(t, mem, Options{Inline: true})
	for w := range 6 {
		if got, err := content(s, growObject(w)); err != nil || !bytes.Equal(got, pattern(w, rounds, 900<<10)) {
			t.Errorf("object %d: %d bytes, %v", w, len(got), err)
		}
	}
	checkSpace(t, s)
	closeStore(t, s)
}
