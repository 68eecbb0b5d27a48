package sdnotify

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// Ready says that the daemon serves: after its start, and after Reloading.
func Ready() error { return send("READY=1") }

// Reloading says that the configuration is read again; Ready ends it.
func Reloading() error { return send("RELOADING=1") }

// Stopping says that the daemon ends.
func Stopping() error { return send("STOPPING=1") }

// Status sets the line that a person sees: "up, 128 PGs, 3 recovering".
func Status(format string, args ...any) error {
	line := strings.Join(strings.FieldsFunc(fmt.Sprintf(format, args...), func(r rune) bool { return r < ' ' }), " ")
	return send("STATUS=" + line)
}

// ExtendTimeout asks for d more, from now on, for the start, the reload or the stop
// that is going on. Who needs long repeats it as long as there is progress.
func ExtendTimeout(d time.Duration) error {
	return send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// Alive says that the daemon works. It is to be called at least once in the interval
// of Watchdog; twice is usual.
func Alive() error { return send("WATCHDOG=1") }

// Watchdog returns within what time the service manager wants to hear Alive, else
// it restarts the daemon; false if it does not watch this process.
func Watchdog() (interval time.Duration, ok bool) {
	if pid := os.Getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return 0, false // meant for the process that started us
	}
	usec, err := strconv.ParseInt(os.Getenv("WATCHDOG_USEC"), 10, 64)
	if err != nil || usec <= 0 || usec > int64(1<<63-1)/1000 || os.Getenv(socketVariable) == "" {
		return 0, false
	}
	return time.Duration(usec) * time.Microsecond, true
}

const (
	socketVariable = "NOTIFY_SOCKET"
	// patience is for a service manager whose queue is full.
	patience = time.Second
)

// send sends one datagram. A name that begins with @ is of the abstract namespace.
func send(state string) error {
	name := os.Getenv(socketVariable)
	if name == "" {
		return nil
	}
	if name[0] != '/' && name[0] != '@' {
		return fmt.Errorf("notify: %s=%q is no unix socket", socketVariable, name)
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	defer c.Close()
	if err := c.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if _, err := c.Write([]byte(state)); err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	return nil
}
