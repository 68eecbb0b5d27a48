package store

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"ebofs/tools/verb"
)

// losses is a log handler that keeps what the engine says about changes it
// acknowledged and could not keep; see docs/decisions/given-up.md. A daemon's
// log is read by somebody; of a tool the exit code is.
type losses struct {
	slog.Handler
	heard *heard
}

// heard is shared by the handlers a logger's With makes.
type heard struct {
	mu    sync.Mutex
	first []string
	zones int64 // bitmaps given up: that loses free space, no change
}

// maxHeard is how many losses a failure lists.
const maxHeard = 5

func (l losses) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelError || l.Handler.Enabled(ctx, level)
}

func (l losses) WithAttrs(attrs []slog.Attr) slog.Handler {
	return losses{l.Handler.WithAttrs(attrs), l.heard}
}

func (l losses) WithGroup(name string) slog.Handler {
	return losses{l.Handler.WithGroup(name), l.heard}
}

func (l losses) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		l.heard.note(r)
	}
	if !l.Handler.Enabled(ctx, r.Level) {
		return nil
	}
	return l.Handler.Handle(ctx, r)
}

func (h *heard) note(r slog.Record) {
	h.mu.Lock()
	defer h.mu.Unlock()
	why, zone := "", false
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "err":
			why = a.Value.String()
		case "zone":
			zone = true
		}
		return true
	})
	if zone {
		h.zones++
	} else if why != "" && len(h.first) < maxHeard {
		h.first = append(h.first, why)
	}
}

// failure is what a session that lost changes ends with; nil if it lost none.
// given is how many things the engine gave up.
func (h *heard) failure(c *verb.Call, path string, given int64) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := given - h.zones
	if n <= 0 {
		return nil
	}
	text := fmt.Sprintf("%s: changes to damaged metadata are lost: %s", path, strings.Join(h.first, "; "))
	if more := n - int64(len(h.first)); more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return &verb.Failure{Code: CodeLost, Message: text, Hint: "What is damaged now fails until it is repaired. All of it: " + c.Command("fsck", "--level", "deep", path)}
}
