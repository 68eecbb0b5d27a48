package aio

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// open returns a ring over a new file of n bytes, and the file.
func open(t *testing.T, requests, n int) (*Ring, *os.File) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(int64(n)); err != nil {
		t.Fatal(err)
	}
	r, err := New(requests, int(f.Fd()), false)
	if err != nil {
		t.Skip("no ring here, nothing was tested: ", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error("close: ", err)
		}
	})
	return r, f
}

// do hands over the requests of list, and takes as many results.
func do(t *testing.T, r *Ring, list []*Request) (moved map[uint64]int, failed map[uint64]error) {
	t.Helper()
	for left := list; len(left) > 0; {
		n, err := r.Submit(left)
		if err != nil {
			t.Fatal("submit: ", err)
		}
		left = left[n:]
	}
	return take(t, r, len(list))
}

// take waits for n results and returns them by user.
func take(t *testing.T, r *Ring, n int) (moved map[uint64]int, failed map[uint64]error) {
	t.Helper()
	moved, failed = map[uint64]int{}, map[uint64]error{}
	results := make([]Result, 7)
	for len(moved)+len(failed) < n {
		n, err := r.Wait(results)
		if err != nil {
			t.Fatal("wait: ", err)
		}
		for i := range results[:n] {
			user := results[i].User
			if _, ok := moved[user]; ok || failed[user] != nil {
				t.Errorf("two results for request %d", user)
			}
			if n, err := results[i].Moved(); err != nil {
				failed[user] = err
			} else {
				moved[user] = n
			}
		}
	}
	return moved, failed
}

// Memory the kernel is told of is kept out of the stack by these.
var (
	vectors [64][]unix.Iovec
	last    []byte
)

func memory(n int) []byte {
	last = make([]byte, n)
	return last
}

func TestTransfer(t *testing.T) {
	const n = len(vectors)
	r, f := open(t, n, n*512)
	bufs := make([][]byte, n)
	list := make([]*Request, n)
	for lap := range 9 { // past the end of the ring
		for i := range bufs {
			bufs[i] = bytes.Repeat([]byte{byte(lap + i)}, 512)
			list[i] = new(Request)
			if i%2 == 0 {
				r.Transfer(list[i], true, bufs[i], int64(i)*512, uint64(i))
				continue
			}
			iov := []unix.Iovec{{Base: &bufs[i][0]}, {Base: &bufs[i][200]}}
			vectors[i] = iov
			iov[0].SetLen(200)
			iov[1].SetLen(312)
			r.TransferVec(list[i], true, iov, int64(i)*512, uint64(i))
			if list[i].User() != uint64(i) {
				t.Fatalf("request %d is called %d", i, list[i].User())
			}
		}
		moved, failed := do(t, r, list)
		if len(moved) != n || len(failed) != 0 {
			t.Fatalf("%d results, failed: %v", len(moved), failed)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, bytes.Join(bufs, nil)) {
			t.Fatalf("lap %d: the file holds something else, %v", lap, err)
		}
		for i := range bufs {
			clear(bufs[i])
			if i%2 == 0 {
				r.Transfer(list[i], false, bufs[i], int64(i)*512, uint64(i))
			} else {
				r.TransferVec(list[i], false, vectors[i], int64(i)*512, uint64(i))
			}
		}
		if moved, failed := do(t, r, list); len(moved) != n || moved[7] != 512 || !bytes.Equal(got, bytes.Join(bufs, nil)) {
			t.Fatalf("lap %d: read %d requests wrong, failed: %v", lap, len(moved), failed)
		}
	}
}

// TestResults: short transfers and errors are told as they are.
func TestResults(t *testing.T) {
	r, _ := open(t, 8, 1000)
	p := memory(512)
	q := make([]Request, 4)
	r.Transfer(&q[0], false, p, 768, 1)
	r.Transfer(&q[1], false, p, 4096, 2)
	r.Nothing(&q[2], 4)
	moved, failed := do(t, r, []*Request{&q[0], &q[1], &q[2]})
	if moved[1] != 232 || len(failed) != 0 {
		t.Errorf("moved %v, failed %v", moved, failed)
	}
	for _, user := range []uint64{2, 4} {
		if n, ok := moved[user]; !ok || n != 0 {
			t.Errorf("behind the end, or nothing: moved %v, failed %v", moved, failed)
		}
	}
	r.Transfer(&q[3], false, p, -2, 3)
	if n, err := r.Submit([]*Request{&q[3]}); err == nil {
		t.Errorf("an offset below zero: %d were taken", n)
	}
	// The kernel takes those before the bad one, and tells of that next.
	if n, err := r.Submit([]*Request{&q[0], &q[3], &q[1]}); n != 1 || err != nil {
		t.Errorf("%d were taken, %v", n, err)
	}
	if n, err := r.Submit([]*Request{&q[3], &q[1]}); n != 0 || err == nil {
		t.Errorf("%d were taken, %v", n, err)
	}
	if n, err := r.Submit([]*Request{&q[1]}); n != 1 || err != nil {
		t.Errorf("%d were taken, %v", n, err)
	}
	if moved, failed := take(t, r, 2); moved[1] != 232 || len(failed) != 0 {
		t.Errorf("beside a bad request: moved %v, failed %v", moved, failed)
	}
}

// TestNowaitUnknown: a file that cannot say what would have to wait has no such ring.
func TestNowaitUnknown(t *testing.T) {
	fd, err := unix.MemfdCreate("memory", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if r, err := New(8, fd, false); err != nil {
		t.Error("waiting allowed: ", err)
	} else {
		r.Close()
	}
	if r, err := New(8, fd, true); !errors.Is(err, unix.EOPNOTSUPP) {
		t.Errorf("a ring that does not wait for memory, which does not know that: %v, %v", r, err)
	}
}

// TestNowait: what would have to wait is refused, or made.
func TestNowait(t *testing.T) {
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "file"), os.O_CREATE|os.O_RDWR|unix.O_DIRECT, 0o600)
	if err != nil {
		t.Skip("no direct I/O here: ", err)
	}
	defer f.Close()
	if err := f.Truncate(1 << 20); err != nil {
		t.Fatal(err)
	}
	r, err := New(8, int(f.Fd()), true)
	if err != nil {
		t.Skip("no such ring here: ", err)
	}
	defer r.Close()
	p, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Munmap(p)
	q := new(Request)
	r.Transfer(q, true, p, 8192, 1) // into a hole: space is to be allocated
	moved, failed := do(t, r, []*Request{q})
	if moved[1] != 4096 && failed[1] != unix.EAGAIN {
		t.Errorf("moved %v, failed %v", moved, failed)
	}
	t.Log("into a hole: ", moved, failed)
}

// TestManyThreads: many hand over, one takes the results.
func TestManyThreads(t *testing.T) {
	const callers, each = 8, 200
	r, f := open(t, callers+1, callers*512)
	var done [callers]chan int
	for w := range done {
		done[w] = make(chan int, 1)
	}
	end := make(chan struct{})
	go func() {
		defer close(end)
		results := make([]Result, callers)
		for {
			n, err := r.Wait(results)
			if err != nil {
				t.Error("wait: ", err)
				return
			}
			for i := range results[:n] {
				if results[i].User == callers {
					return
				}
				n, err := results[i].Moved()
				if err != nil {
					t.Error(err)
				}
				done[results[i].User] <- n
			}
		}
	}()
	var wg sync.WaitGroup
	for w := range done {
		wg.Go(func() {
			q := new(Request)
			for i := range each {
				p := bytes.Repeat([]byte{byte(i)}, 512)
				r.Transfer(q, true, p, int64(w)*512, uint64(w))
				if n, err := r.Submit([]*Request{q}); n != 1 || err != nil {
					t.Errorf("submit: %d, %v", n, err)
					return
				}
				select {
				case n := <-done[w]:
					if n != len(p) {
						t.Errorf("%d bytes", n)
					}
				case <-time.After(10 * time.Second):
					t.Error("no result")
					return
				}
				runtime.KeepAlive(p)
			}
		})
	}
	wg.Wait()
	q := new(Request)
	r.Nothing(q, callers)
	if n, err := r.Submit([]*Request{q}); n != 1 || err != nil {
		t.Fatalf("submit: %d, %v", n, err)
	}
	<-end
	want := bytes.Repeat([]byte{each - 1}, callers*512)
	if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the file holds something else, %v", err)
	}
}

// TestRefused: New says why there is no ring.
func TestRefused(t *testing.T) {
	if r, err := New(0, -1, false); err == nil {
		r.Close()
		t.Error("a ring without requests")
	}
	r, err := New(4, 1<<20, false)
	if err == nil {
		r.Close()
		t.Error("a ring for no file")
	}
	t.Log(err)
}
