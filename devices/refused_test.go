package devices

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// refuseEnv holds the error number a child process gets for io_setup.
const refuseEnv = "EBOFS_TEST_REFUSE"

// TestKernelRefuses runs a file where the kernel has no asynchronous I/O, or forbids it:
// a child process under a filter of system calls. It works as before, by
// blocking calls.
func TestKernelRefuses(t *testing.T) {
	if s := os.Getenv(refuseEnv); s != "" {
		n, _ := strconv.Atoi(s)
		refuse(t, unix.Errno(n))
		f := openImage(t, 64, FileOptions{ring: ringAlways})
		if err := f.Ring(); !errors.Is(err, unix.Errno(n)) {
			t.Fatalf("the ring: %v", err)
		}
		t.Log("ran by blocking calls: ", f.Ring())
		p := heapAligned(64 * BlockSize)
		if err := errors.Join(submitAll(f, true, 32, p)...); err != nil {
			t.Error(err)
		}
		if err := errors.Join(submitAll(f, false, 32, p)...); err != nil {
			t.Error(err)
		}
		return
	}
	for _, errno := range []unix.Errno{unix.ENOSYS, unix.EPERM, unix.ENOMEM} {
		t.Run(errno.Error(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run", "^TestKernelRefuses$", "-test.v", "-test.timeout", "60s")
			cmd.Env = append(os.Environ(), refuseEnv+"="+strconv.Itoa(int(errno)))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			t.Logf("%s", out)
		})
	}
}

// refuse makes io_setup fail in all threads of this process.
func refuse(t *testing.T, errno unix.Errno) {
	filter := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: 0}, // the number of the call
		{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_IO_SETUP},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ERRNO | uint32(errno)},
		{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
	}
	prog := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		t.Skip("no filters here: ", err)
	}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog))); e != 0 {
		t.Skip("no filters here: ", e)
	}
	runtime.KeepAlive(filter)
}
