package mon

import "context"

// Listed is a command as tests and docs/commands.md see it.
type Listed struct {
	Prefix, Module, Perm, Help string
	Tell                       bool
	Flags                      int
	Args                       []Argument
}

// Argument is an argument of a command as the command line tool is told of it: Req
// is "false" for one that may be left out, N is "N" for one that may come often.
type Argument struct{ Name, Type, Req, N string }

// Commands returns all commands in the order of help.
func Commands() (list []Listed) {
	for _, c := range inOrder {
		l := Listed{Prefix: c.prefix(), Module: c.module, Perm: c.perm, Help: c.help, Tell: c.flags&flagTell != 0, Flags: c.flags &^ flagTell}
		for _, a := range c.args {
			x := Argument{Name: a.name, Type: a.kind}
			if a.optional {
				x.Req = "false"
			}
			if a.many {
				x.N = "N"
			}
			l.Args = append(l.Args, x)
		}
		list = append(list, l)
	}
	return list
}

// Wait waits until the state is so.
func (m *Monitor) Wait(ctx context.Context, ok func(*State) bool) error {
	for {
		m.mu.Lock()
		st, changed := m.mu.state, m.mu.changed
		m.mu.Unlock()
		if ok(st) {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Tick does what keepTime does at intervals.
func (m *Monitor) Tick() { m.tick() }

// Advice returns what to do about each health check.
func Advice() map[string]string { return advice }
