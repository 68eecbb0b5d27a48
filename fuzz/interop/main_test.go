package interop

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// The test binary is started as one of three things.
const (
	insideVariable = "EBOFS_INTEROP_INSIDE" // set: this is the one in the namespace
	childVariable  = "EBOFS_INTEROP_CHILD"  // set: this is ebofs, with these arguments
)

// programs of Ceph that the tests start.
var programs = []string{"ceph", "ceph-authtool", "ceph-mgr", "ceph-mon", "ceph-osd", "monmaptool", "rados", "rbd"}

func TestMain(m *testing.M) {
	if spec, ok := os.LookupEnv(childVariable); ok {
		os.Exit(child(spec))
	}
	if os.Getenv(insideVariable) != "" {
		if err := loopback(); err != nil {
			fmt.Fprintln(os.Stderr, "loopback:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	}
	if os.Getuid() != 0 {
		fmt.Println("interop: skipped: namespaces take root")
		return
	}
	os.Exit(inside())
}

// inside runs the tests in namespaces of their own, and returns the exit code.
func inside() int {
	c := exec.Command("/proc/self/exe", os.Args[1:]...)
	c.Args[0] = os.Args[0]
	c.Env = append(os.Environ(), insideVariable+"=1")
	c.Stdin, c.Stdout, c.Stderr = os.Stdin, os.Stdout, os.Stderr
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	err := c.Run()
	var code *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &code) && code.ExitCode() > 0:
		return code.ExitCode()
	}
	fmt.Fprintln(os.Stderr, "interop:", err)
	return 1
}

// loopback makes the namespace's only interface work.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	r, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	r.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, r)
}
