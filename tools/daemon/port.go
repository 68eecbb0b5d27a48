package daemon

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// explainPort adds who has the port to an error about one that is taken.
func explainPort(err error) error {
	var op *net.OpError
	if !errors.Is(err, syscall.EADDRINUSE) || !errors.As(err, &op) {
		return err
	}
	addr, ok := op.Addr.(*net.TCPAddr)
	if !ok {
		return err
	}
	if who := listener(addr.Port); who != "" {
		return fmt.Errorf("%w (%s has port %d)", err, who, addr.Port)
	}
	return err
}

// listener names the process that listens on a TCP port, as "ceph-mon, pid 12"; ""
// if that cannot be seen.
func listener(port int) string {
	inodes := map[string]bool{}
	for _, table := range []string{"/proc/net/tcp", "/proc/net/tcp6"} {
		p, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for s := bufio.NewScanner(bytes.NewReader(p)); s.Scan(); {
			f := strings.Fields(s.Text())
			if len(f) < 10 || f[3] != "0A" { // listens
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && int(n) == port {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && inodes[to] {
			dir := filepath.Dir(filepath.Dir(fd))
			name, _ := os.ReadFile(filepath.Join(dir, "comm"))
			return fmt.Sprintf("%s, pid %s,", strings.TrimSpace(string(name)), filepath.Base(dir))
		}
	}
	return ""
}
