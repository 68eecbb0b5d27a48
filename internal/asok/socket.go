package asok

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrInUse is returned for a socket that another process listens on.
var ErrInUse = errors.New("another process serves it")

// maxPath is what fits into a sockaddr_un with the NUL behind it.
const maxPath = 107

// Path returns the path of the socket name in dir.
func Path(dir, name string) string { return filepath.Join(dir, name+".asok") }

// fileID tells a file from the next one of its name.
type fileID struct{ dev, ino uint64 }

// listen binds path and returns what was made there.
func listen(dir, path string, shared bool) (*net.UnixListener, fileID, error) {
	if len(path) > maxPath {
		return nil, fileID{}, fmt.Errorf("%s: a socket's path takes at most %d bytes, this has %d", path, maxPath, len(path))
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fileID{}, err
	}
	unlock, err := lockDir(dir, shared)
	if err != nil {
		return nil, fileID{}, err
	}
	defer unlock()
	if err := removeStale(path); err != nil {
		return nil, fileID{}, err
	}
	if !shared {
		sweep(dir)
	}
	// The mode of an unbound socket, less the umask, becomes that of its file.
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		if e := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), 0o660) }); e != nil {
			return e
		}
		return err
	}}
	l, err := lc.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fileID{}, err
	}
	lis := l.(*net.UnixListener)
	lis.SetUnlinkOnClose(false) // removeOwn looks first whose it is
	err = os.Chmod(path, 0o660)
	id, ok := identify(path)
	if err == nil && !ok {
		err = fmt.Errorf("%s: vanished: %w", path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fileID{}, errors.Join(err, lis.Close())
	}
	return lis, id, nil
}

// sweepMost bounds how many sockets are looked at when one is made.
const sweepMost = 100

// sweep removes sockets that killed processes have left; the directory is locked.
func sweep(dir string) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return // they do no harm
	}
	for _, e := range entries[:min(len(entries), sweepMost)] {
		if strings.HasSuffix(e.Name(), ".asok") {
			_ = removeStale(filepath.Join(dir, e.Name())) // an error: somebody lives there
		}
	}
}

// lockDir makes sure that dir is ours alone, or is one that may be shared, and locks
// it against other servers that look, remove or bind there.
func lockDir(dir string, shared bool) (unlock func(), err error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW|syscall.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	var st syscall.Stat_t
	if err := syscall.Fstat(int(f.Fd()), &st); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	switch {
	case shared && st.Mode&0o002 != 0:
		err = fmt.Errorf("%s: mode %04o lets anybody in: %w", dir, st.Mode&0o7777, fs.ErrPermission)
	case shared:
	case int(st.Uid) != os.Geteuid():
		err = fmt.Errorf("%s: belongs to user %d, not to %d: %w", dir, st.Uid, os.Geteuid(), fs.ErrPermission)
	case st.Mode&0o077 != 0:
		err = fmt.Errorf("%s: mode %04o lets others in; wanted is 0700: %w", dir, st.Mode&0o7777, fs.ErrPermission)
	}
	for begin := time.Now(); err == nil; time.Sleep(5 * time.Millisecond) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { f.Close() }, nil
		}
		if errors.Is(err, syscall.EWOULDBLOCK) && time.Since(begin) < 2*time.Second || errors.Is(err, syscall.EINTR) {
			err = nil
			continue
		}
		err = fmt.Errorf("%s: lock: %w", dir, err)
	}
	return nil, errors.Join(err, f.Close())
}

// removeStale removes the socket at path if its process is dead.
func removeStale(path string) error {
	st, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case st.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s: is there and no socket: %w", path, fs.ErrExist)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		c.Close()
		return fmt.Errorf("%s: %w", path, ErrInUse)
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("%s: %w: %v", path, ErrInUse, err) // full, or not to be told
	}
	return os.Remove(path)
}

func identify(path string) (fileID, bool) {
	st, err := os.Lstat(path)
	if err != nil {
		return fileID{}, false
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return fileID{}, false
	}
	return fileID{uint64(sys.Dev), sys.Ino}, true
}

// removeOwn removes path if it is still the socket that was made as id. Left
// there it does no harm: it refuses, and the next server removes it.
func removeOwn(dir, path string, id fileID, shared bool) {
	unlock, err := lockDir(dir, shared)
	if err != nil {
		return
	}
	defer unlock()
	if now, ok := identify(path); ok && now == id {
		_ = os.Remove(path)
	}
}
