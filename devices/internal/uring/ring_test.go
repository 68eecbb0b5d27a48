package uring

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// open returns a ring over a new file of n bytes, and the file; the test keeps
// its thread until it ends.
func open(t *testing.T, entries, n int) (*Ring, *os.File) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(int64(n)); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread()
	r, err := New(entries, int(f.Fd()))
	if err != nil {
		runtime.UnlockOSThread()
		t.Skip("no ring here, nothing was tested: ", err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error("close: ", err)
		}
		runtime.UnlockOSThread()
	})
	return r, f
}

// drain enters until nothing is in flight and returns results by user.
func drain(t *testing.T, r *Ring) (moved map[uint64]int, failed map[uint64]error) {
	t.Helper()
	moved, failed = map[uint64]int{}, map[uint64]error{}
	for r.Flying() > 0 {
		if err := r.Enter(1); err != nil {
			t.Fatal("enter: ", err)
		}
		r.Reap(func(user uint64, n int, err error) {
			if _, ok := moved[user]; ok || failed[user] != nil {
				t.Errorf("two results for entry %d", user)
			}
			if err != nil {
				failed[user] = err
			} else {
				moved[user] = n
			}
		})
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
	r, f := open(t, 2*n, n*512)
	bufs := make([][]byte, n)
	for lap := range 5 { // past the end of both queues
		for i := range bufs {
			bufs[i] = bytes.Repeat([]byte{byte(lap + i)}, 512)
			if i%2 == 0 {
				r.Transfer(true, bufs[i], int64(i)*512, uint64(i))
				continue
			}
			iov := []unix.Iovec{{Base: &bufs[i][0]}, {Base: &bufs[i][200]}}
			vectors[i] = iov
			iov[0].SetLen(200)
			iov[1].SetLen(312)
			r.TransferVec(true, iov, int64(i)*512, uint64(i))
		}
		if r.Free() != n {
			t.Fatalf("room for %d, want %d", r.Free(), n)
		}
		moved, failed := drain(t, r)
		if len(moved) != n || len(failed) != 0 {
			t.Fatalf("%d results, failed: %v", len(moved), failed)
		}
		got, err := os.ReadFile(f.Name())
		if err != nil || !bytes.Equal(got, bytes.Join(bufs, nil)) {
			t.Fatalf("lap %d: the file holds something else, %v", lap, err)
		}
		for i := range bufs {
			clear(bufs[i])
			r.Transfer(false, bufs[i], int64(i)*512, uint64(i))
		}
		if moved, failed := drain(t, r); len(moved) != n || moved[7] != 512 || !bytes.Equal(got, bytes.Join(bufs, nil)) {
			t.Fatalf("lap %d: read %d entries wrong, failed: %v", lap, len(moved), failed)
		}
	}
}

// TestResults: short transfers and errors are told as they are.
func TestResults(t *testing.T) {
	r, _ := open(t, 8, 1000)
	p := memory(512)
	r.Transfer(false, p, 768, 1)
	r.Transfer(false, p, 4096, 2)
	r.Transfer(false, p, -2, 3)
	r.ReadFrom(-1, p, 4)
	moved, failed := drain(t, r)
	if moved[1] != 232 || failed[3] == nil || !errors.Is(failed[4], unix.EBADF) {
		t.Errorf("moved %v, failed %v", moved, failed)
	}
	if n, ok := moved[2]; !ok || n != 0 {
		t.Errorf("behind the end: moved %v, failed %v", moved, failed)
	}
}

// TestWaitForData: a read of an eventfd ends when somebody writes to it, and
// does not hold up others.
func TestWaitForData(t *testing.T) {
	r, _ := open(t, 8, 4096)
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	word := memory(8)
	p := memory(512)
	r.ReadFrom(fd, word, 1)
	r.Transfer(false, p, 0, 2)
	for done := false; !done; {
		if err := r.Enter(1); err != nil {
			t.Fatal(err)
		}
		r.Reap(func(user uint64, _ int, _ error) {
			if done = user == 2; !done {
				t.Error("the eventfd was read before anybody wrote to it")
			}
		})
	}
	wrote := make(chan error, 1)
	go func() {
		_, err := unix.Write(fd, []byte{3, 0, 0, 0, 0, 0, 0, 0})
		wrote <- err
	}()
	if moved, failed := drain(t, r); moved[1] != 8 || word[0] != 3 {
		t.Errorf("moved %v, failed %v, read % x", moved, failed, word)
	}
	if err := <-wrote; err != nil {
		t.Error(err)
	}
}

// TestFull: more entries than the ring was made for are a mistake.
func TestFull(t *testing.T) {
	r, _ := open(t, 4, 4096)
	p := memory(512)
	for r.Free() > 0 {
		r.Transfer(false, p, 0, 1)
	}
	defer func() {
		if recover() == nil {
			t.Error("one too many was taken")
		}
		for r.Flying() > 0 {
			if err := r.Enter(1); err != nil {
				t.Fatal(err)
			}
			r.Reap(func(uint64, int, error) {})
		}
	}()
	r.Transfer(false, p, 0, 2)
}

// TestRefused: New says why there is no ring.
func TestRefused(t *testing.T) {
	if r, err := New(0, -1); err == nil {
		r.Close()
		t.Error("a ring without entries")
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	r, err := New(4, 1<<20)
	if err == nil {
		r.Close()
		t.Error("a ring for no file")
	}
	t.Log(err)
}
