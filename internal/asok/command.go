package asok

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"syscall"
)

// Command is something a process answers.
type Command struct {
	Name string // words: "store check start"
	Help string // one line, lower case, no full stop
	Args []Arg
	// Run returns what is encoded as JSON, or a Text. An error's errno is told, too
	// (errors.As), EIO if it has none. Several may run at once. ctx ends when the
	// server is closed, which waits for Run.
	Run func(ctx context.Context, r *Request) (any, error)
}

// Text is an answer that goes out as it is.
type Text string

// Register adds a command, or replaces the one of its name.
func (s *Server) Register(cs ...Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.commands.Add(cs...)
}

// builtin are the commands every process has.
func (s *Server) builtin() []Command {
	return []Command{
		{Name: "help", Help: "list the commands", Run: func(context.Context, *Request) (any, error) {
			list := make(map[string]string)
			for _, c := range s.table().sorted() {
				list[c.Name] = c.usage()
			}
			return list, nil
		}},
		{Name: "get_command_descriptions", Help: "list the commands for a program", Run: func(context.Context, *Request) (any, error) {
			return s.table().Descriptions(), nil
		}},
		{Name: "version", Help: "print the version", Run: func(context.Context, *Request) (any, error) {
			return map[string]string{"version": s.opt.Version}, nil
		}},
		{Name: "status", Help: "say which process this is and how long it runs", Run: func(context.Context, *Request) (any, error) {
			return Status{Name: s.opt.Name, PID: os.Getpid(), Version: s.opt.Version, Started: s.began.UTC().Format("2006-01-02T15:04:05Z"), Seconds: s.opt.Now().Sub(s.began).Seconds()}, nil
		}},
	}
}

// Status is what "status" answers.
type Status struct {
	Name    string  `json:"name"`
	PID     int     `json:"pid"`
	Version string  `json:"version"`
	Started string  `json:"started"`
	Seconds float64 `json:"seconds"`
}

// table returns the commands as they are now.
func (s *Server) table() Table {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.mu.commands)
}

// usage is the help of a command with its arguments.
func (c *Command) usage() string {
	text := c.Help
	for i, a := range c.Args {
		sep := ", "
		if i == 0 {
			sep = "; "
		}
		name := a.Name
		if a.Kind == Choice {
			name += "=" + strings.Join(a.Choices, "|")
		}
		if !a.Required {
			name = "[" + name + "]"
		}
		text += sep + name
		if a.Help != "" {
			text += ": " + a.Help
		}
	}
	return text
}

// run executes a request and returns its answer.
func (s *Server) run(ctx context.Context, p []byte) []byte {
	out, err := s.table().Do(ctx, p)
	if err != nil {
		return refusal(err)
	}
	return out
}

// refusal is the answer to a request that failed.
func refusal(err error) []byte {
	var no syscall.Errno
	if !errors.As(err, &no) {
		no = syscall.EIO
	}
	text := strings.TrimSuffix(err.Error(), ": "+no.Error())
	return fmt.Appendf(nil, "ERROR: (%d) %s\n%s\n", int(no), no.Error(), text)
}
