package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"

	"ebofs/tools/object"
	"ebofs/tools/sizes"
)

// importAndKill imports by a child process and kills it with SIGKILL once half
// of the tree is acknowledged.
func (d *demo) importAndKill(ctx context.Context) error {
	d.title("importing %d files and directories (%s) from %s, and killing it half-way", d.r.Entries, sizes.Human(uint64(d.r.Bytes)), d.tree)
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	args := []string{"object", d.device, "import", "--acked", d.acked, d.tree}
	d.c.Printf("   $ %s &\n", d.c.Command(args[0], args[1:]...))
	d.c.Flush()
	var talk bytes.Buffer
	child := exec.CommandContext(ctx, exe, args...)
	child.Args[0] = "ebofs" // whatever name this program has
	child.Stderr = &talk
	// If the demo itself is killed, its child must not go on writing.
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	start := d.c.Now()
	if err := child.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- child.Wait() }()
	look := time.NewTicker(2 * time.Millisecond)
	defer look.Stop()
	var lines tail
	for lines.n < d.r.Entries/2 {
		select {
		case err := <-ended:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return d.failed("the import ended before it could be killed (%v): %s", err, bytes.TrimSpace(talk.Bytes()))
		case <-look.C:
			if err := lines.follow(d.acked); err != nil {
				return errors.Join(err, child.Process.Kill(), <-ended)
			}
		}
	}
	if err := child.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	err = <-ended
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return d.failed("the import was not killed but ended: %v", err)
	}
	if err := lines.follow(d.acked); err != nil {
		return err
	}
	d.r.AckedAtKill = lines.n
	d.c.Printf("   $ kill -9 %s   after %s: %d of %d acknowledged\n", strconv.Itoa(child.Process.Pid), sizes.Duration(d.c.Now().Sub(start)), lines.n, d.r.Entries)
	return nil
}

// tail counts the whole lines of a growing file.
type tail struct {
	off int64
	n   int
}

func (t *tail) follow(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := f.ReadAt(buf, t.off)
		t.n += bytes.Count(buf[:n], []byte("\n"))
		t.off += int64(n)
		if n == 0 || err != nil {
			return nil // the end, for now
		}
	}
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
