package asok

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Table is commands by their name. It answers requests wherever they come from:
// a socket, or a message of the cluster.
type Table map[string]Command

// NewTable returns a table of commands.
func NewTable(cs ...Command) Table {
	t := Table{}
	t.Add(cs...)
	return t
}

// Add adds commands, or replaces those of their names.
func (t Table) Add(cs ...Command) {
	for _, c := range cs {
		t[c.Name] = c
	}
}

// Do carries out a request, as Decode reads it, and returns the answer: a Text as
// it is, anything else as JSON, indented unless the request asks for "json".
func (t Table) Do(ctx context.Context, p []byte) ([]byte, error) {
	r, err := Decode(p)
	if err != nil {
		return nil, err
	}
	c, err := t.find(r)
	if err != nil {
		return nil, err
	}
	v, err := c.Run(ctx, r)
	if err != nil {
		return nil, err
	}
	if t, ok := v.(Text); ok {
		return []byte(t), nil
	}
	out, err := json.Marshal(v)
	if err == nil && r.Format != "json" {
		out, err = json.MarshalIndent(v, "", "    ")
	}
	return append(out, '\n'), err
}

// Descriptions are the commands as Ceph's command line wants to know them.
func (t Table) Descriptions() map[string]any {
	all := make(map[string]any)
	for i, c := range t.sorted() {
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

// find returns the command that r names, its arguments bound to it.
func (t Table) find(r *Request) (*Command, error) {
	if r.words == nil {
		if c, ok := t[r.Prefix]; ok {
			return &c, r.bind(&c)
		}
		return nil, t.unknown(r.Prefix)
	}
	// The longest name that the words begin with; arguments follow.
	for n := len(r.words); n > 0; n-- {
		if c, ok := t[strings.Join(r.words[:n], " ")]; ok {
			return &c, r.bind(&c)
		}
	}
	return nil, t.unknown(strings.Join(r.words, " "))
}

// unknown refuses a command and lists those there are: all that begin with its
// first word, or all.
func (t Table) unknown(name string) error {
	var names, near []string
	first, _, _ := strings.Cut(name, " ")
	for _, n := range slices.Sorted(maps.Keys(t)) {
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

func (t Table) sorted() []Command {
	return slices.SortedFunc(maps.Values(t), func(a, b Command) int { return strings.Compare(a.Name, b.Name) })
}
