package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"ebofs/ebofs/online"
	"ebofs/internal/asok"
	"ebofs/tools/probe"
	"ebofs/tools/verb"
)

// serve makes the admin socket of a session that writes: others cannot open the
// store meanwhile, but can ask about it and have it checked. Its name is the
// beginning of the store's id.
func (s *Session) serve() error {
	path, err := filepath.Abs(s.Path)
	if err != nil {
		return err
	}
	commands := online.New(online.Options{Store: s.Store, Path: path, Level: s.c.Level, Logger: s.c.Log, Now: s.c.Now})
	s.socket, err = asok.Listen(asok.Options{Dir: s.c.RunDir, Name: s.Superblock().FSID.Short(), Version: s.c.Version, Logger: s.c.Log, Now: s.c.Now}, commands.List()...)
	if err != nil {
		commands.Close()
		return err
	}
	s.commands = commands
	return nil
}

// hangUp ends what serve began.
func (s *Session) hangUp() {
	if s.commands == nil {
		return
	}
	s.commands.Close()
	if err := s.socket.Close(); err != nil {
		s.c.Log.Warn("admin socket", "err", err)
	}
}

// The codes of asking a process: it could not be asked, or it refused.
const (
	CodeSocket  = "E-SOCKET"
	CodeRefused = "E-REFUSED"
)

// Socket returns the admin socket of the process that has the store on the device
// or image at path, and the store's id. unused is the hint for a store nobody uses.
func Socket(c *verb.Call, path, unused string) (sock, id string, err error) {
	d, err := probe.Look(path)
	if err != nil {
		return "", "", probe.Explain(err)
	}
	if d.Store == nil {
		return "", "", &verb.Failure{Code: CodeNoStore, Message: path + ": no store here", Hint: "What it holds instead: " + c.Command("device", "probe", path)}
	}
	if d.Store.Role == "log" {
		return "", "", &verb.Failure{Code: CodeLog, Message: fmt.Sprintf("%s: holds the log of store %s, not the store", path, d.Store.Short())}
	}
	if c.RunDir == "" {
		return "", "", noRunDir()
	}
	err = fs.ErrNotExist
	for _, dir := range runDirs(c) {
		s := asok.Path(dir, d.Store.Short())
		alive := asok.Alive(s)
		if alive == nil {
			sock, err = s, nil
			break
		}
		if !errors.Is(alive, fs.ErrNotExist) {
			err = alive
		}
	}
	if err != nil {
		f := CannotAsk(c, path, err)
		if !d.InUse {
			f.Message, f.Hint = path+": nobody uses it", unused
		}
		return "", "", f
	}
	return sock, d.Store.ID, nil
}

// SameDevice reports whether the device a process has open as theirs is the one at
// path, or a loop device over that.
func SameDevice(path, theirs string) bool {
	a, err := os.Stat(path)
	if err != nil {
		return false
	}
	b, err := os.Stat(theirs)
	if err != nil {
		return false
	}
	if x, ok := a.Sys().(*syscall.Stat_t); ok && a.Mode()&fs.ModeDevice != 0 && b.Mode()&fs.ModeDevice != 0 {
		y, ok := b.Sys().(*syscall.Stat_t)
		return ok && x.Rdev == y.Rdev
	}
	if os.SameFile(a, b) {
		return true
	}
	over := func(image, loop string) bool {
		for _, u := range probe.Behind(image) {
			if u.What == "behind "+loop {
				return true
			}
		}
		return false
	}
	return over(path, theirs) || over(theirs, path)
}

func noRunDir() *verb.Failure {
	return &verb.Failure{Code: CodeSocket, Message: "no directory of admin sockets", Hint: "Neither EBOFS_RUN_DIR nor XDG_RUNTIME_DIR is set. Give the socket's path instead of a name."}
}

// DaemonDir is where daemons that the package's units run have their admin sockets:
// they are another user's, and those are no good in a directory of root's.
const DaemonDir = "/run/ebofs-daemon"

// runDirs are the directories of admin sockets: root looks among the daemons', too.
func runDirs(c *verb.Call) []string {
	if c.RunDir == verb.RootRunDir {
		return []string{c.RunDir, DaemonDir}
	}
	return []string{c.RunDir}
}

// Sockets lists the admin sockets of stores whose names begin with prefix.
func Sockets(c *verb.Call, prefix string) (list []string, err error) {
	if c.RunDir == "" {
		return nil, noRunDir()
	}
	for _, dir := range runDirs(c) {
		entries, err := os.ReadDir(dir)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, CannotAsk(c, dir, err)
		}
		for _, e := range entries {
			// A daemon's own has a dot in its name.
			if name, ok := strings.CutSuffix(e.Name(), ".asok"); ok && strings.HasPrefix(name, prefix) && !strings.Contains(name, ".") {
				list = append(list, filepath.Join(dir, e.Name()))
			}
		}
	}
	return list, nil
}

// CannotAsk is the failure for a process that could not be asked: name is how the
// operator called it.
func CannotAsk(c *verb.Call, name string, err error) *verb.Failure {
	f := &verb.Failure{Code: CodeSocket, Err: err, Hint: "Who can be asked: " + c.Command("admin")}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		f.Message = name + ": no process with an admin socket has it"
	case errors.Is(err, syscall.ECONNREFUSED):
		f.Message = name + ": the process that made the admin socket is dead"
	case errors.Is(err, fs.ErrPermission):
		f.Message, f.Hint = name+": permission denied", "Only root and the user the process runs as may ask it."
	default:
		f.Message = name + ": " + err.Error()
	}
	return f
}
