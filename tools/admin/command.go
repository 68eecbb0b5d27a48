package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"ebofs/tools/verb"
)

// described is one command as a process describes it.
type described struct {
	words []string // of its name
	args  []arg
	help  string
}

func (d *described) name() string { return strings.Join(d.words, " ") }

// arg is one argument. Ceph's descriptions say more of it.
type arg struct {
	name, kind, choices string
	optional, many      bool
}

// describe asks a process for its commands.
func (j *job) describe(ctx context.Context, c *verb.Call, sock string) ([]described, error) {
	p, err := j.ask(ctx, c, sock, "get_command_descriptions", map[string]any{"format": "json"})
	if err != nil {
		return nil, err
	}
	var all map[string]struct {
		Sig  []any  `json:"sig"`
		Help string `json:"help"`
	}
	if err := json.Unmarshal(p, &all); err != nil {
		return nil, fmt.Errorf("%s: its commands make no sense: %w", sock, err)
	}
	var list []described
	for _, k := range slices.Sorted(maps.Keys(all)) {
		d := described{help: all[k].Help}
		for _, part := range all[k].Sig {
			switch part := part.(type) {
			case string:
				d.words = append(d.words, part)
			case map[string]any:
				d.args = append(d.args, toArg(part))
			}
		}
		list = append(list, d)
	}
	return list, nil
}

func toArg(m map[string]any) (a arg) {
	a.name, _ = m["name"].(string)
	a.kind, _ = m["type"].(string)
	a.choices, _ = m["strings"].(string)
	_, a.many = m["n"]
	a.optional = m["req"] == false || m["req"] == "false"
	return a
}

// match finds the command that words begin with and gives its arguments the rest.
func match(known []described, words []string) (command string, args map[string]any, err error) {
	var best *described
	for i := range known {
		d := &known[i]
		if len(d.words) <= len(words) && slices.Equal(d.words, words[:len(d.words)]) && (best == nil || len(d.words) > len(best.words)) {
			best = d
		}
	}
	if best == nil {
		return "", nil, unknown(known, words)
	}
	args = make(map[string]any)
	free := best.args
	for _, w := range words[len(best.words):] {
		name, value, named := strings.Cut(w, "=")
		i := slices.IndexFunc(best.args, func(a arg) bool { return a.name == name })
		if !named || i < 0 {
			if len(free) == 0 {
				return "", nil, fmt.Errorf("%s: too many words: %q", best.name(), w)
			}
			a := free[0]
			if a.many {
				list, _ := args[a.name].([]any)
				args[a.name] = append(list, w)
				continue
			}
			free = free[1:]
			if args[a.name], err = a.value(w); err != nil {
				return "", nil, fmt.Errorf("%s: %w", best.name(), err)
			}
			continue
		}
		if args[name], err = best.args[i].value(value); err != nil {
			return "", nil, fmt.Errorf("%s: %w", best.name(), err)
		}
	}
	return best.name(), args, nil
}

// value turns a word into what the argument wants.
func (a *arg) value(w string) (any, error) {
	switch a.kind {
	case "CephInt":
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no number", a.name, w)
		}
		return n, nil
	case "CephFloat":
		n, err := strconv.ParseFloat(w, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no number", a.name, w)
		}
		return n, nil
	case "CephBool":
		switch w {
		case "true", "yes", "1":
			return true, nil
		case "false", "no", "0":
			return false, nil
		}
		return nil, fmt.Errorf("%s: %q is neither true nor false", a.name, w)
	case "CephChoices":
		if a.choices != "" && !slices.Contains(strings.Split(a.choices, "|"), w) {
			return nil, fmt.Errorf("%s: %q is none of %s", a.name, w, a.choices)
		}
	}
	return w, nil
}

// unknown names the commands that begin alike, or all.
func unknown(known []described, words []string) error {
	var near, all []string
	for i := range known {
		all = append(all, known[i].name())
		if known[i].words[0] == words[0] {
			near = append(near, known[i].name())
		}
	}
	if near != nil {
		all = near
	}
	if len(all) == 0 {
		return errors.New("it knows no command")
	}
	slices.Sort(all)
	return fmt.Errorf("unknown command %q; known: %s", strings.Join(words, " "), strings.Join(all, ", "))
}

// usage is a command with its arguments.
func (d *described) usage() string {
	s := d.name()
	for _, a := range d.args {
		w := strings.ToUpper(a.name)
		if a.choices != "" {
			w = a.choices
		}
		if a.many {
			w += "..."
		}
		if a.optional {
			w = "[" + w + "]"
		}
		s += " " + w
	}
	return s
}

// help lists the commands of a process.
func help(c *verb.Call, sock string, known []described) error {
	r := result{Socket: sock, Command: "help"}
	slices.SortFunc(known, func(a, b described) int { return strings.Compare(a.name(), b.name()) })
	for i := range known {
		c.Printf("%s\n", known[i].usage())
		if known[i].help != "" {
			c.Printf("    %s\n", known[i].help)
		}
		r.Known = append(r.Known, known[i].usage())
	}
	c.Set(r)
	return nil
}
