package daemon

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"

	"ebofs/cluster/conf"
)

// logger is where a daemon's log goes: a file that can be opened anew, or stderr.
type logger struct {
	*slog.Logger
	path string

	mu   sync.Mutex
	file *os.File
}

// newLogger makes the log of a daemon: one JSON object a line in the file at
// path, else lines on w. Under a service manager that keeps the log, lines
// have a level as it wants it, and no time.
func newLogger(cfg *conf.Config, path string, w io.Writer, level *slog.LevelVar, journal bool) (*logger, error) {
	l := &logger{path: path}
	o := &slog.HandlerOptions{Level: level}
	switch {
	case l.path != "":
		if err := l.Reopen(); err != nil {
			return nil, err
		}
		l.Logger = slog.New(slog.NewJSONHandler(l, o))
	case journal:
		o.ReplaceAttr = func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
				return slog.Attr{}
			}
			return a
		}
		l.Logger = slog.New(prefixed{slog.NewTextHandler(w, o), w, &l.mu})
	default:
		l.Logger = slog.New(slog.NewTextHandler(w, o))
	}
	l.Logger = l.With("daemon", cfg.Name.String())
	return l, nil
}

// prefixed writes the level in front of each line, as sd-daemon(3) has it.
type prefixed struct {
	slog.Handler
	w  io.Writer
	mu *sync.Mutex
}

func (p prefixed) Handle(ctx context.Context, r slog.Record) error {
	n := 6
	switch {
	case r.Level >= slog.LevelError:
		n = 3
	case r.Level >= slog.LevelWarn:
		n = 4
	case r.Level < slog.LevelInfo:
		n = 7
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := fmt.Fprintf(p.w, "<%d>", n); err != nil {
		return err
	}
	return p.Handler.Handle(ctx, r)
}

func (p prefixed) WithAttrs(a []slog.Attr) slog.Handler {
	return prefixed{p.Handler.WithAttrs(a), p.w, p.mu}
}

func (p prefixed) WithGroup(name string) slog.Handler {
	return prefixed{p.Handler.WithGroup(name), p.w, p.mu}
}

// Write writes to the file.
func (l *logger) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.file.Write(p)
}

// Reopen opens the file anew: who rotates logs has renamed it.
func (l *logger) Reopen() error {
	if l.path == "" {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640)
	if err != nil {
		return fmt.Errorf("log_file: %w", err)
	}
	l.mu.Lock()
	old := l.file
	l.file = f
	l.mu.Unlock()
	if old != nil {
		return old.Close()
	}
	return nil
}

// levelOf is the level that the options ask for: debug_osd = 5/20 counts up to 5.
func levelOf(cfg *conf.Config) slog.Level {
	text, _, _ := strings.Cut(cfg.Text("debug_"+cfg.Name.Type.String()), "/")
	n, err := strconv.Atoi(text)
	switch {
	case err != nil:
		return slog.LevelInfo
	case n >= 10:
		return slog.LevelDebug
	case n < 0:
		return slog.LevelError
	case n == 0:
		return slog.LevelWarn
	}
	return slog.LevelInfo
}
