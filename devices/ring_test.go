package devices

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"ebofs/devices/internal/aio"
)

// eachWay runs a test on a file with a ring and on one that was refused it, and
// says which it was.
func eachWay(t *testing.T, blocks int, test func(t *testing.T, f *File)) {
	for _, use := range []ringUse{ringAlways, ringNever} {
		t.Run(map[ringUse]string{ringAlways: "ring", ringNever: "fall-back"}[use], func(t *testing.T) {
			f := openImage(t, blocks, FileOptions{ring: use})
			err := f.Ring()
			switch {
			case use == ringNever && !errors.Is(err, errRingOff):
				t.Fatalf("refused by %v", err)
			case use == ringAlways && err != nil:
				t.Skip("not run through the ring: ", err)
			case err != nil:
				t.Log("ran by blocking calls: ", err)
			default:
				t.Log("ran through the ring")
			}
			test(t, f)
		})
	}
}

// submitAll submits n writes or reads of two blocks each and returns their
// results, in order.
func submitAll(f *File, write bool, n int, p []byte) []error {
	errs := make([]error, n)
	rs := make([]Request, n)
	var wg sync.WaitGroup
	wg.Add(n)
	for i := range rs {
		q := p[i*2*BlockSize:][:2*BlockSize]
		v := Vec{q}
		if i%3 == 0 {
			v = Vec{q[:BlockSize], q[BlockSize:]}
		}
		rs[i] = Request{Write: write, B: Block(2 * i), V: v, Done: func(err error) {
			errs[i] = err
			wg.Done()
		}}
	}
	f.Submit(context.Background(), rs)
	clear(rs)
	wg.Wait()
	return errs
}

// TestSubmitMany has far more requests than the ring takes at once.
func TestSubmitMany(t *testing.T) {
	const n = 3 * ringDepth
	eachWay(t, 2*n, func(t *testing.T, f *File) {
		p := heapAligned(2 * n * BlockSize)
		for i := range p {
			p[i] = byte(i / 512)
		}
		if err := errors.Join(submitAll(f, true, n, p)...); err != nil {
			t.Fatal(err)
		}
		q := heapAligned(len(p))
		if err := errors.Join(submitAll(f, false, n, q)...); err != nil {
			t.Fatal(err)
		}
		// The writes are into holes, which a ring may leave to workers.
		if k := f.RingCalls(); k < n && (k != 0 || f.Ring() == nil) {
			t.Errorf("%d calls went through the ring, of %d", k, 2*n)
		}
		if disk, err := os.ReadFile(f.Path()); err != nil || !bytes.Equal(disk, p) || !bytes.Equal(q, p) {
			t.Errorf("the image or what was read is not what was written, %v", err)
		}
	})
}

// TestSubmitLong mixes long requests, which the ring is not for, with others.
func TestSubmitLong(t *testing.T) {
	const blocks, n = ringBytes/BlockSize + 1, 9
	eachWay(t, n*blocks, func(t *testing.T, f *File) {
		p := heapAligned(n * blocks * BlockSize)
		for i := range p {
			p[i] = byte(i / 512)
		}
		rs := make([]Request, n)
		done := make(chan error, n)
		for i := range rs {
			q := p[i*blocks*BlockSize:][:blocks*BlockSize]
			if i%2 == 0 {
				q = q[:BlockSize]
			}
			rs[i] = Request{Write: true, B: Block(i * blocks), V: Vec{q}, Done: func(err error) { done <- err }}
		}
		f.Submit(context.Background(), rs)
		for range rs {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		for i := 0; i < n; i += 2 {
			clear(p[i*blocks*BlockSize:][BlockSize : blocks*BlockSize]) // not written
		}
		if disk, err := os.ReadFile(f.Path()); err != nil || !bytes.Equal(disk, p) {
			t.Errorf("the image is not what was written, %v", err)
		}
	})
}

// TestSubmitErrors: a request that is not made is done all the same, with the
// error Read and Write have, and the others are made.
func TestSubmitErrors(t *testing.T) {
	eachWay(t, 8, func(t *testing.T, f *File) {
		over, cancel := context.WithCancel(context.Background())
		cancel()
		ask := func(ctx context.Context, write bool, b Block) error {
			done := make(chan error, 1)
			f.Submit(ctx, []Request{{Write: write, B: b, V: Vec{heapAligned(BlockSize)}, Done: func(err error) { done <- err }}})
			return <-done
		}
		ctx := context.Background()
		if err := errors.Join(ask(ctx, true, 7), ask(ctx, false, 7)); err != nil {
			t.Error(err)
		}
		if err := ask(ctx, true, 8); !errors.Is(err, ErrRange) {
			t.Errorf("behind the end: %v", err)
		}
		if err := ask(over, true, 0); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		// I2: after a failed flush no write is accepted, and reads are.
		f.sys = brokenFlush{f.sys}
		if err := f.Flush(ctx); !errors.Is(err, syscall.EIO) {
			t.Fatalf("flush: %v", err)
		}
		if err := ask(ctx, true, 0); !errors.Is(err, errFlushed) || !errors.Is(err, syscall.EIO) {
			t.Errorf("write after a failed flush: %v", err)
		}
		if err := ask(ctx, false, 0); err != nil {
			t.Errorf("read after a failed flush: %v", err)
		}
		// The device became smaller: short, then nothing.
		if err := os.Truncate(f.Path(), 5*BlockSize+512); err != nil {
			t.Fatal(err)
		}
		v := Vec{heapAligned(BlockSize), heapAligned(2 * BlockSize)}
		if err := f.Read(ctx, 4, v); !errors.Is(err, io.ErrUnexpectedEOF) || err.Error() != f.Path()+": read blocks 4~3: unexpected EOF" {
			t.Errorf("read across the new end: %v", err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if err := ask(ctx, false, 0); !errors.Is(err, ErrClosed) {
			t.Errorf("closed: %v", err)
		}
	})
}

type brokenFlush struct{ syscalls }

func (brokenFlush) fdatasync() error { return syscall.EIO }

// TestHalfDone: what the ring leaves half done, interrupted or put off is
// finished by blocking calls, and an error of the device is told as it is.
func TestHalfDone(t *testing.T) {
	ff, f := newFake(16)
	ff.limit = func(k, n int) (int, error) { // and those are short, too
		if k%2 == 1 {
			return min(n, BlockSize), nil
		}
		return 0, syscall.EINTR
	}
	r := &ring{workers: &f.async.workers}
	p := heapAligned(5 * BlockSize)
	for i := range p {
		p[i] = byte(i/BlockSize + 1)
	}
	for _, c := range []struct {
		n   int
		err error
		is  error
	}{{BlockSize, nil, nil}, {700, nil, nil}, {0, nil, nil}, {0, unix.EINTR, nil}, {0, unix.EAGAIN, nil}, {5 * BlockSize, nil, nil}, {0, unix.EIO, syscall.EIO}} {
		clear(ff.data)
		copy(ff.data[3*BlockSize:], p[:c.n])
		c2 := newCall(f, writev, 3, Vec{p[:2*BlockSize], p[2*BlockSize:]}, nil)
		r.end(outcome{c2, c.n, c.err})
		err := c2.wait()
		if !errors.Is(err, c.is) || err != nil && err.Error() != "fake: write blocks 3~5: input/output error" {
			t.Errorf("%d bytes and %v became %v", c.n, c.err, err)
		}
		if err == nil && !bytes.Equal(ff.data[3*BlockSize:8*BlockSize], p) {
			t.Errorf("after %d bytes and %v the rest was not written", c.n, c.err)
		}
	}
	if n := r.ended.Load(); n != 2 { // the whole one and the failed one
		t.Errorf("%d calls count as the ring's", n)
	}
	// Where it was not to wait, an error is not the device's last word.
	r.nowait = true
	c := newCall(f, writev, 3, Vec{p}, nil)
	if r.end(outcome{c, 0, unix.EIO}); c.wait() != nil || !bytes.Equal(ff.data[3*BlockSize:8*BlockSize], p) {
		t.Error("a call that was not to wait was given up")
	}
	f.async.workers.wg.Wait()
}

// TestRejected: workers make the calls the kernel does not take from the ring, and say
// why; nobody waits for those for ever.
func TestRejected(t *testing.T) {
	f := openImage(t, 64, FileOptions{ring: ringAlways})
	if err := f.Ring(); err != nil {
		t.Skip("no ring here: ", err)
	}
	r := f.async.ring.Load()
	const nowhere = 1 << 51 // its byte is below zero
	var cs []*call
	r.mu.Lock()
	for range ringGather {
		cs = append(cs, newCall(f, readv, nowhere, Vec{heapAligned(BlockSize)}, nil))
		r.addLocked(cs[len(cs)-1])
	}
	var list [ringSend]*aio.Request
	n := r.fillLocked(list[:])
	cs = append(cs, newCall(f, readv, 1, Vec{heapAligned(BlockSize)}, nil))
	r.addLocked(cs[ringGather])
	r.mu.Unlock()
	r.submit(list[:n])
	for i, c := range cs {
		select {
		case <-c.ready:
			if bad := i < ringGather; errors.Is(c.outcome, unix.EINVAL) != bad || !bad && c.outcome != nil {
				t.Errorf("call %d: %v", i, c.outcome)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("call %d was left", i)
		}
	}
	f.async.workers.wg.Wait()
}

// TestCloseWaits: Close returns when all that was submitted is done, and leaves
// no goroutine; the locks are free at once.
func TestCloseWaits(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const n = 2 * ringDepth
	eachWay(t, 2*n, func(t *testing.T, f *File) {
		p := heapAligned(2 * n * BlockSize)
		var done atomic.Int64
		var again sync.WaitGroup
		rs := make([]Request, n)
		for i := range rs {
			rs[i] = Request{Write: true, B: Block(2 * i), V: Vec{p[i*2*BlockSize:][:2*BlockSize]}, Done: func(err error) {
				if err != nil {
					t.Error(err)
				}
				// A request made by Done while Close waits is refused or made, not
				// stuck.
				again.Add(1)
				f.Submit(context.Background(), []Request{{B: Block(2 * i), V: Vec{p[i*2*BlockSize:][:BlockSize]}, Done: func(err error) {
					if err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
					again.Done()
				}}})
				done.Add(1)
			}}
		}
		f.Submit(context.Background(), rs)
		err := f.Close()
		if k := done.Load(); k != n || err != nil {
			t.Errorf("closed with %d of %d requests done, %v", k, n, err)
		}
		again.Wait()
		g, err := OpenFile(f.Path(), FileOptions{})
		if err != nil {
			t.Fatal(err)
		}
		g.Close()
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestOpenClose opens, uses deeply and closes files again and again: nothing is
// left, whether somebody closes at once, in the middle or afterwards.
func TestOpenClose(t *testing.T) {
	descriptors := func() int {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(list)
	}
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	path := filepath.Join(t.TempDir(), "image")
	rings := func() int {
		maps, err := os.ReadFile("/proc/self/maps")
		if err != nil {
			t.Skip(err)
		}
		return bytes.Count(maps, []byte("[aio]"))
	}
	before, with, through := descriptors(), rings(), int64(0)
	for i := range 60 {
		f, err := OpenFile(path, FileOptions{CreateBytes: 64 * BlockSize})
		if err != nil {
			t.Fatal(err)
		}
		if f.async.from, f.async.until = 2, 1; i%2 == 0 {
			f.async.use = ringAlways
			_ = f.Ring() // else it is made meanwhile
		}
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				v := Vec{heapAligned(BlockSize)}
				for k := range i % 20 {
					if err := f.Write(context.Background(), Block(8*w+k%8), v); err != nil && !errors.Is(err, ErrClosed) {
						t.Error(err)
					}
				}
			})
		}
		if i%3 == 0 {
			wg.Wait()
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		through += f.RingCalls()
	}
	if n := descriptors(); n > before {
		t.Errorf("%d descriptors open, %d before", n, before)
	}
	if n := rings(); n > with {
		t.Errorf("%d rings are left, %d before", n, with)
	}
	t.Logf("%d calls went through a ring", through)
}

// TestDeep: a file takes to the ring when many call at once, by itself, and
// back to blocking calls when they are gone.
func TestDeep(t *testing.T) {
	f := openImage(t, 64, FileOptions{})
	ringFrom, ringUntil := f.async.from, f.async.until
	ctx := context.Background()
	if f.ringFor(ctx, 1) != nil || f.ringFor(ctx, ringFrom-1) != nil || f.async.asked.Load() {
		t.Error("a ring for few calls")
	}
	if err := f.Read(ctx, 0, Vec{heapAligned(BlockSize)}); err != nil || f.async.depth.Load() != 0 {
		t.Errorf("%v, %d in flight after a read", err, f.async.depth.Load())
	}
	f.ringFor(ctx, ringFrom)
	if !f.async.asked.Load() {
		t.Error("no ring asked for by many calls")
	}
	if err := f.Ring(); err != nil {
		t.Skip("no ring here: ", err)
	}
	for _, c := range []struct {
		n    int64
		ring bool
	}{{ringFrom, true}, {ringUntil, true}, {ringUntil - 1, false}, {ringFrom - 1, false}, {ringFrom, true}} {
		if (f.ringFor(ctx, c.n) != nil) != c.ring {
			t.Errorf("%d calls, ring %v", c.n, !c.ring)
		}
	}
	for procs := range 70 {
		if f.async.from, f.async.until = ringDepths(procs); f.ringFor(ctx, f.async.from) == nil || f.ringFor(ctx, 1) != nil {
			t.Errorf("%d threads: the ring from %d until %d calls, not left by a lone one", procs, f.async.from, f.async.until)
		}
	}
	if f.ringFor(WithClass(ctx, ClassLog), ringFrom) != nil {
		t.Error("the log's calls went to the ring")
	}
	if long := heapAligned(ringBytes); !fits(Vec{long}) || fits(Vec{long, long[:BlockSize]}) {
		t.Error("the longest call for the ring is not where it should be")
	}
}

// TestRefusedImage: without direct I/O there is no ring.
func TestRefusedImage(t *testing.T) {
	f, err := OpenFile(filepath.Join(t.TempDir(), "image"), FileOptions{CreateBytes: 1 << 20, ring: ringAlways})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.direct = false
	if err := f.Ring(); !errors.Is(err, errNoRingHere) {
		t.Errorf("through the page cache: %v", err)
	}
	if err := f.Write(context.Background(), 0, Vec{heapAligned(BlockSize)}); err != nil {
		t.Error(err)
	}
}

// TestRingOverhead: a call through the ring allocates nothing.
func TestRingOverhead(t *testing.T) {
	if raceEnabled {
		t.Skip("sync.Pool drops at random")
	}
	f := openImage(t, 8, FileOptions{ring: ringAlways})
	if err := f.Ring(); err != nil {
		t.Skip("no ring here: ", err)
	}
	ctx, one, many := context.Background(), Vec{heapAligned(BlockSize)}, Vec{heapAligned(BlockSize), heapAligned(BlockSize)}
	if n := testing.AllocsPerRun(100, func() {
		_ = f.Write(ctx, 1, one)
		_ = f.Read(ctx, 1, many)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestGather: calls go to the kernel while it has few, and several at a time above;
// none is left, however many call at once.
func TestGather(t *testing.T) {
	for _, c := range []struct {
		inside, waiting int
		due             bool
	}{{0, 1, true}, {ringGather - 1, 1, true}, {ringGather, 1, false}, {ringGather, ringGather - 1, false}, {ringGather, ringGather, true}, {ringDepth, 1, false}} {
		var r ring
		r.mu.slots = make([]slot, ringDepth)
		r.mu.free = make([]uint64, ringDepth-c.inside)
		r.mu.n = c.waiting
		if r.dueLocked() != c.due {
			t.Errorf("%d with the kernel, %d waiting: handed over %v", c.inside, c.waiting, !c.due)
		}
	}
	const each = 200
	f := openImage(t, 64, FileOptions{ring: ringAlways})
	if err := f.Ring(); err != nil {
		t.Skip("no ring here: ", err)
	}
	want := int64(0)
	for _, callers := range []int{1, 2, ringGather + 1, 3 * ringGather, ringDepth + 3} {
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				v := Vec{heapAligned(BlockSize)}
				for i := range each {
					if err := f.Read(context.Background(), Block(i%64), v); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if want += int64(callers * each); f.RingCalls() != want {
			t.Errorf("%d callers: %d calls of %d went through the ring", callers, f.RingCalls(), want)
		}
	}
	// One waits while the kernel has enough, and nobody calls any more.
	r := f.async.ring.Load()
	var cs []*call
	r.mu.Lock()
	for range ringGather {
		cs = append(cs, newCall(f, readv, 0, Vec{heapAligned(BlockSize)}, nil))
		r.addLocked(cs[len(cs)-1])
	}
	var list [ringSend]*aio.Request
	if n := r.fillLocked(list[:]); n != ringGather {
		t.Fatalf("%d calls to be handed over", n)
	}
	cs = append(cs, newCall(f, readv, 1, Vec{heapAligned(BlockSize)}, nil))
	r.addLocked(cs[ringGather])
	due := r.dueLocked()
	r.mu.Unlock()
	r.submit(list[:ringGather])
	for i, c := range cs {
		select {
		case <-c.ready:
			if c.outcome != nil {
				t.Error(c.outcome)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("call %d was left", i)
		}
	}
	if r.mu.Lock(); r.mu.n != 0 || due {
		t.Errorf("%d calls are counted as waiting when all are done; one was due %v", r.mu.n, due)
	}
	r.mu.Unlock()
}
