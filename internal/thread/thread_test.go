package thread

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPatient: the thread has what was asked for, no other has it, and it goes with its
// goroutine.
func TestPatient(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if before.Runtime == 0 {
		t.Skip("this kernel has no slices to ask for")
	}
	tids := make(chan int)
	end := make(chan struct{})
	go func() {
		if !Patient() {
			close(tids)
			return
		}
		tids <- unix.Gettid()
		<-end
	}()
	tid, ok := <-tids
	if !ok {
		t.Fatalf("refused, where others have slices of %d ns", before.Runtime)
	}
	if a, err := unix.SchedGetAttr(tid, 0); err != nil || a.Runtime != long || a.Nice != before.Nice || a.Policy != before.Policy {
		t.Errorf("the thread has %+v, %v", a, err)
	}
	if a, err := unix.SchedGetAttr(0, 0); err != nil || *a != *before {
		t.Errorf("another thread has %+v, before %+v, %v", a, before, err)
	}
	close(end)
	if tid == unix.Getpid() {
		return // the first thread of a process stays, and runs nothing any more
	}
	for give := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if _, err := unix.SchedGetAttr(tid, 0); errors.Is(err, unix.ESRCH) {
			break
		} else if time.Now().After(give) {
			t.Fatalf("thread %d is still there: %v", tid, err)
		}
	}
}
