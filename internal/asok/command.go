package asok

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
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

// find returns the command that r names, its arguments bound to it.
func (s *Server) find(r *Request) (*Command, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.words == nil {
		if c, ok := s.mu.commands[r.Prefix]; ok {
			return &c, r.bind(&c)
		}
		return nil, s.unknownLocked(r.Prefix)
	}
	// The longest name that the words begin with; arguments follow.
	for n := len(r.words); n > 0; n-- {
		if c, ok := s.mu.commands[strings.Join(r.words[:n], " ")]; ok {
			return &c, r.bind(&c)
		}
	}
	return nil, s.unknownLocked(strings.Join(r.words, " "))
}

// unknownLocked refuses a command and lists those there are: all that begin
// with its first word, or all.
func (s *Server) unknownLocked(name string) error {
	var names, near []string
	first, _, _ := strings.Cut(name, " ")
	for _, n := range slices.Sorted(maps.Keys(s.mu.commands)) {
		names = append(names, n)
		if strings.HasPrefix(n, first+" ") {
			near = append(near, n)
		}
	}
	if near != nil {
		names = near
	}
	if len(name) > 64 {
		name = name[:64] + "…"
	}
	return fmt.Errorf("unknown command %q; known: %s: %w", name, strings.Join(names, ", "), errInvalid)
}

// Register adds a command, or replaces the one of its name.
func (s *Server) Register(cs ...Command) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cs {
		s.mu.commands[c.Name] = c
	}
}

// builtin are the commands every process has.
func (s *Server) builtin() []Command {
	return []Command{
		{Name: "help", Help: "list the commands", Run: func(context.Context, *Request) (any, error) {
			list := make(map[string]string)
			for _, c := range s.sorted() {
				list[c.Name] = c.usage()
			}
			return list, nil
		}},
		{Name: "get_command_descriptions", Help: "list the commands for a program", Run: func(context.Context, *Request) (any, error) {
			return s.descriptions(), nil
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

func (s *Server) sorted() []Command {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.SortedFunc(maps.Values(s.mu.commands), func(a, b Command) int { return strings.Compare(a.Name, b.Name) })
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

// descriptions are the commands as Ceph's command line wants to know them.
func (s *Server) descriptions() map[string]any {
	all := make(map[string]any)
	for i, c := range s.sorted() {
		var sig []any
		for _, w := range strings.Fields(c.Name) {
			sig = append(sig, w)
		}
		for _, a := range c.Args {
			d := map[string]any{"name": a.Name, "type": a.Kind}
			if a.Kind == Choice {
				d["strings"] = strings.Join(a.Choices, "|")
			}
			if !a.Required {
				d["req"] = false
			}
			sig = append(sig, d)
		}
		all[fmt.Sprintf("cmd%03d", i)] = map[string]any{"sig": sig, "help": c.Help, "module": "", "perm": "", "flags": 0}
	}
	return all
}

// run executes a request and returns its answer.
func (s *Server) run(ctx context.Context, p []byte) []byte {
	r, err := Decode(p)
	if err != nil {
		return refusal(err)
	}
	c, err := s.find(r)
	if err != nil {
		return refusal(err)
	}
	v, err := c.Run(ctx, r)
	if err != nil {
		return refusal(err)
	}
	if t, ok := v.(Text); ok {
		return []byte(t)
	}
	out, err := json.Marshal(v)
	if err == nil && r.Format != "json" {
		out, err = json.MarshalIndent(v, "", "    ")
	}
	if err != nil {
		return refusal(err)
	}
	return append(out, '\n')
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
