package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"ebofs/tools/verb"
)

// process is a daemon that runs as a child.
type process struct {
	name  string
	cmd   *exec.Cmd
	log   string
	ended chan struct{}
	err   error
}

// start starts "ebofs mon -i a" or "ebofs osd -i 0" with the demo's configuration.
func (l *lab) start(kind, id string) (*process, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	p := &process{name: kind + "." + id, log: filepath.Join(l.dir, kind+"."+id+".log"), ended: make(chan struct{})}
	log, err := os.OpenFile(p.log, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	args := []string{kind, "-i", id, "-c", l.cluster.Conf()}
	l.c.Printf("   $ %s &\n", l.c.Command(args[0], args[1:]...))
	p.cmd = exec.Command(exe, args...)
	p.cmd.Args[0] = "ebofs" // whatever name this program has
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.Env = append(os.Environ(), "EBOFS_RUN_DIR="+filepath.Join(l.dir, "run"))
	// A demo that is killed leaves no daemons; the kernel ties that to the thread
	// that starts them, so that lasts as long as the process.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := p.cmd.Start()
		started <- err
		if err == nil {
			p.err = p.cmd.Wait()
			close(p.ended)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// stop ends the daemon with a signal and waits for it.
func (p *process) stop(s syscall.Signal) error {
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.ended:
		if s == syscall.SIGKILL {
			return nil
		}
		return p.err
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
		return fmt.Errorf("%s did not end within 15 s; its log is %s", p.name, p.log)
	}
}

// client runs a stock client, shows the command and what it printed, and returns that.
func (l *lab) client(ctx context.Context, name string, args ...string) (string, error) {
	return l.ask(ctx, true, name, args...)
}

// ask is client, showing the output or not.
func (l *lab) ask(ctx context.Context, show bool, name string, args ...string) (string, error) {
	line := name
	for _, a := range args {
		line += " " + verb.Quote(a)
	}
	if show {
		l.c.Printf("   $ %s\n", line)
		l.c.Flush()
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "CEPH_CONF="+l.cluster.Conf(), "CEPH_ARGS=")
	var errs limited
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if show {
		l.c.Printf("%s", indented(string(out)+string(errs.text)))
		l.c.Flush()
	}
	if err != nil {
		return string(out), l.failed("`%s` failed: %v: %s", line, err, errs.text)
	}
	return string(out), nil
}

// limited keeps the first bytes that are written to it.
type limited struct{ text []byte }

// Write takes what fits.
func (w *limited) Write(p []byte) (int, error) {
	w.text = append(w.text, p[:min(len(p), 4096-len(w.text))]...)
	return len(p), nil
}
