package differ

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// session is ops.py at work on one cluster.
type session struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

// answerIn bounds an operation: longer than any timeout that a script asks for, and
// than a client needs to connect.
const answerIn = 30 * time.Second

// start starts ops.py with the cluster of a ceph.conf.
func start(conf string) (*session, error) {
	s := &session{cmd: exec.Command("/usr/bin/python3", "ops.py")}
	s.cmd.Env = append(os.Environ(), "CEPH_CONF="+conf, "CEPH_ARGS=")
	s.cmd.Stderr = os.Stderr
	var err error
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	return s, s.cmd.Start()
}

// do carries out an operation.
func (s *session) do(op string) (string, error) {
	late := time.AfterFunc(answerIn, func() { s.cmd.Process.Kill() })
	defer late.Stop()
	if _, err := io.WriteString(s.in, op+"\n"); err != nil {
		return "", err
	}
	result, err := s.out.ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("%s: no result: %w", op, err)
	}
	return strings.TrimSuffix(result, "\n"), nil
}

// end ends it. Clients are not closed in order: what they leave at the OSD, it
// forgets by itself.
func (s *session) end() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}
