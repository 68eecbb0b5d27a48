package verb

import (
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/term"
)

// Streams is the outside world of one verb, so that tests can run it in
// process. Nothing in a verb reads os.Stdout, the environment or the wall
// clock directly.
type Streams struct {
	In  io.Reader
	Out io.Writer // the result
	Err io.Writer // talk: messages, progress, logs

	OutTerminal bool // Out is a terminal
	ErrTerminal bool // Err is a terminal
	Columns     int  // width of that terminal; 0: unknown

	// Program is argv[0] as it was typed, so that printed commands can be
	// pasted back.
	Program string
	Version string              // of the program
	Getenv  func(string) string // nil: an empty environment
	Now     func() time.Time    // nil: time.Now
	// RunDir is where the admin sockets of running processes are; "": nowhere.
	RunDir string
	// Status delivers a value whenever one line of progress is asked for
	// (SIGUSR1); may be nil.
	Status <-chan os.Signal
	// TakeHangup gives SIGHUP another meaning than to end the verb: from then on, and
	// until again is called, it is delivered. Never nil in a verb.
	TakeHangup func() (hangup <-chan os.Signal, again func())
}

// Process returns the streams of this process and a function that stops
// listening for SIGUSR1.
func Process() (Streams, func()) {
	status := make(chan os.Signal, 1)
	signal.Notify(status, syscall.SIGUSR1)
	s := Streams{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		OutTerminal: term.IsTerminal(1), ErrTerminal: term.IsTerminal(2),
		Program: os.Args[0], Getenv: os.Getenv, Now: time.Now, RunDir: runDir(os.Getenv, os.Geteuid()), Status: status,
	}
	for _, fd := range []int{1, 2} {
		if w, _, err := term.GetSize(fd); err == nil && w > 0 {
			s.Columns = w
			break
		}
	}
	if n, err := strconv.Atoi(os.Getenv("COLUMNS")); s.Columns == 0 && err == nil && n > 0 {
		s.Columns = n
	}
	return s, func() { signal.Stop(status) }
}

// RootRunDir is where root's processes have their admin sockets.
const RootRunDir = "/run/ebofs"

// runDir is where a user's processes have their admin sockets.
func runDir(getenv func(string) string, uid int) string {
	switch own, session := getenv("EBOFS_RUN_DIR"), getenv("XDG_RUNTIME_DIR"); {
	case own != "":
		return own
	case uid == 0:
		return RootRunDir
	case session != "":
		return filepath.Join(session, "ebofs")
	}
	return ""
}

// withDefaults fills what a test may leave out.
func (s Streams) withDefaults() Streams {
	if s.In == nil {
		s.In = eof{}
	}
	if s.TakeHangup == nil {
		s.TakeHangup = func() (<-chan os.Signal, func()) { return nil, func() {} }
	}
	if s.Out == nil {
		s.Out = io.Discard
	}
	if s.Err == nil {
		s.Err = io.Discard
	}
	if s.Program == "" {
		s.Program = "ebofs"
	}
	if s.Getenv == nil {
		s.Getenv = func(string) string { return "" }
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	return s
}

type eof struct{}

func (eof) Read([]byte) (int, error) { return 0, io.EOF }
