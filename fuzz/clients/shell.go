package clients

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// shell runs programs with a cluster's configuration, in a directory of its own.
type shell struct {
	t        *testing.T
	conf     string
	dir      string
	commands *atomic.Int64
}

// commandIn bounds a program: those here take a second or two.
const commandIn = time.Minute

func (s *shell) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", line)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "CEPH_CONF="+s.conf, "CEPH_ARGS=", "HOME="+s.dir, "LC_ALL=C.UTF-8")
	cmd.WaitDelay = time.Second
	return cmd
}

// try runs a line and gives what it printed, and its exit code.
func (s *shell) try(line string) (out string, code int) {
	s.t.Helper()
	s.commands.Add(1)
	ctx, cancel := context.WithTimeout(context.Background(), commandIn)
	defer cancel()
	cmd := s.command(ctx, line)
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || ctx.Err() != nil) {
		s.t.Fatalf("%s: %v\n%s", line, err, b.Bytes())
	}
	return b.String(), cmd.ProcessState.ExitCode()
}

// run runs a line that has to succeed.
func (s *shell) run(line string) string {
	s.t.Helper()
	out, code := s.try(line)
	if code != 0 {
		s.t.Fatalf("%s: exit code %d\n%s", line, code, out)
	}
	return out
}

// want runs a line that has to succeed and to print what matches every pattern.
func (s *shell) want(line string, patterns ...string) {
	s.t.Helper()
	out := s.run(line)
	for _, p := range patterns {
		if !regexp.MustCompile(`(?m)` + p).MatchString(out) {
			s.t.Errorf("%s: nothing matches %q in\n%s", line, p, out)
		}
	}
}

// is runs a line that has to succeed and print just that.
func (s *shell) is(line, want string) {
	s.t.Helper()
	if out := strings.TrimSpace(s.run(line)); out != want {
		s.t.Errorf("%s: %q, want %q", line, out, want)
	}
}

// fails runs a line that has to end with a code and say something.
func (s *shell) fails(code int, line, pattern string) {
	s.t.Helper()
	out, got := s.try(line)
	if got != code || !regexp.MustCompile(pattern).MatchString(out) {
		s.t.Errorf("%s: exit code %d, want %d and %q\n%s", line, got, code, pattern, out)
	}
}

// same compares two files.
func (s *shell) same(a, b string) {
	s.t.Helper()
	x, err := os.ReadFile(filepath.Join(s.dir, a))
	if err != nil {
		s.t.Fatal(err)
	}
	y, err := os.ReadFile(filepath.Join(s.dir, b))
	if err != nil {
		s.t.Fatal(err)
	}
	if !bytes.Equal(x, y) {
		s.t.Errorf("%s and %s differ", a, b)
	}
}

// random makes a file of random bytes.
func (s *shell) random(name string, n string) {
	s.t.Helper()
	s.run("head -c " + n + " /dev/urandom >" + name)
}

// until runs a line until what it prints matches.
func (s *shell) until(line, pattern string) {
	s.t.Helper()
	re := regexp.MustCompile(`(?m)` + pattern)
	var out string
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if out, _ = s.try(line); re.MatchString(out) {
			return
		}
	}
	s.t.Fatalf("%s: nothing matches %q in\n%s", line, pattern, out)
}
