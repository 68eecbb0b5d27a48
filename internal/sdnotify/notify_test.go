package sdnotify

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// listen makes name the service manager's socket.
func listen(t *testing.T, name string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv(socketVariable, name)
	return c
}

// heard returns the next datagram.
func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 4096)
	n, err := c.Read(p)
	if err != nil {
		t.Fatal(err)
	}
	return string(p[:n])
}

func TestStates(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), fmt.Sprintf("@ebofs-test-%d", os.Getpid())} {
		c := listen(t, name)
		for _, step := range []struct {
			say  func() error
			want string
		}{
			{Ready, "READY=1"},
			{Reloading, "RELOADING=1"},
			{Stopping, "STOPPING=1"},
			{Alive, "WATCHDOG=1"},
			{func() error { return Status("up, %d PGs", 128) }, "STATUS=up, 128 PGs"},
			// A line of its own would be another state.
			{func() error { return Status("two\nREADY=1\r\nlines") }, "STATUS=two READY=1 lines"},
			{func() error { return ExtendTimeout(90 * time.Second) }, "EXTEND_TIMEOUT_USEC=90000000"},
		} {
			if err := step.say(); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if got := heard(t, c); got != step.want {
				t.Errorf("%s: %q, want %q", name, got, step.want)
			}
		}
	}
}

func TestNobodyListens(t *testing.T) {
	t.Setenv(socketVariable, "")
	if err := Ready(); err != nil {
		t.Errorf("without a socket: %v", err)
	}
	t.Setenv(socketVariable, filepath.Join(t.TempDir(), "none"))
	if err := Ready(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a socket that is gone: %v", err)
	}
	t.Setenv(socketVariable, "vsock:2:1")
	if err := Ready(); err == nil {
		t.Error("another kind of socket is taken for a path")
	}
}

// TestFull has a service manager that reads nothing.
func TestFull(t *testing.T) {
	listen(t, filepath.Join(t.TempDir(), "notify"))
	for range 1 << 16 {
		if err := Alive(); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("queue full: %v", err)
			}
			return
		}
	}
	t.Error("the queue was never full")
}

func TestWatchdog(t *testing.T) {
	me, other := strconv.Itoa(os.Getpid()), strconv.Itoa(os.Getppid())
	for _, c := range []struct {
		socket, usec, pid string
		want              time.Duration
	}{
		{"/x", "30000000", me, 30 * time.Second},
		{"/x", "30000000", "", 30 * time.Second},
		{"/x", "30000000", other, 0},
		{"/x", "", me, 0},
		{"/x", "soon", me, 0},
		{"/x", "0", me, 0},
		{"/x", "-5", me, 0},
		{"/x", "9223372036854775807", me, 0},
		{"", "30000000", me, 0},
	} {
		t.Setenv(socketVariable, c.socket)
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got, ok := Watchdog(); got != c.want || ok != (c.want != 0) {
			t.Errorf("%+v: %v, %v", c, got, ok)
		}
	}
}
