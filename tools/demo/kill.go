package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"ebofs/tools/object"
	"ebofs/tools/sizes"
	"ebofs/tools/verb"
)

// importAndKill imports by a child process and kills it with SIGKILL once half
// of the tree is acknowledged. The child's journal is a short pipe: it cannot
// run far ahead of us, so the kill always comes in the middle. What was in the
// pipe at that moment is acknowledged, too.
func (d *story) importAndKill(ctx context.Context) error {
	d.title("importing %d files and directories (%s) from %s, and killing it half-way", d.r.Entries, sizes.Human(uint64(d.r.Bytes)), d.tree)
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	journal, err := os.Create(d.acked)
	if err != nil {
		return err
	}
	defer journal.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	// One page holds some forty lines. A kernel that refuses leaves a longer pipe.
	_, _ = unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	args := []string{"object", d.device, "import", "--acked", "/dev/fd/3", d.tree}
	d.c.Printf("   $ %s 3> %s &\n", d.c.Command(args[0], args[1:]...), verb.Quote(d.acked))
	d.c.Flush()
	var talk bytes.Buffer
	child := exec.CommandContext(ctx, exe, args...)
	child.Args[0] = "ebofs" // whatever name this program has
	child.Stderr = &talk
	child.ExtraFiles = []*os.File{w}
	// If the demo itself is killed, its child must not go on writing.
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// The kernel ties that to the thread that started the child.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	start := d.c.Now()
	err = child.Start()
	w.Close()
	if err != nil {
		return err
	}
	lines, killed := 0, false
	buf := make([]byte, 4096)
	for {
		n, readErr := r.Read(buf)
		lines += bytes.Count(buf[:n], []byte("\n"))
		if _, err := journal.Write(buf[:n]); err != nil {
			return errors.Join(err, child.Process.Kill(), child.Wait())
		}
		if !killed && lines > d.r.Entries/2 { // the first names the store
			killed = true
			if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				return errors.Join(err, child.Wait())
			}
		}
		if readErr != nil {
			break // the child is dead and its last line read
		}
	}
	err = child.Wait()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL:
		return d.failed("the import ended before it was killed (%v): %s", err, bytes.TrimSpace(talk.Bytes()))
	}
	if d.r.AckedAtKill, err = countNames(d.acked); err != nil {
		return err
	}
	d.c.Printf("   $ kill -9 %d   # after %s, with %d of %d acknowledged\n", child.Process.Pid, sizes.Duration(d.c.Now().Sub(start)), d.r.AckedAtKill, d.r.Entries)
	return nil
}

// countNames returns how many objects a journal names.
func countNames(path string) (int, error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	names := map[string]struct{}{}
	if err := object.ReadJournal(f, func(a object.Acked) error { names[a.Name] = struct{}{}; return nil }); err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return len(names), nil
}
