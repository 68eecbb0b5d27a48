package asok

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// MaxRequest bounds a request, in bytes without its end. Ours take a hundred; the
// rest is for lists of arguments.
const MaxRequest = 64 << 10

// Request is one command and its arguments.
type Request struct {
	Prefix string // the command's name
	Format string // "json", "json-pretty", or "" if the client does not care

	words []string // of the bare form, the command's name first
	args  map[string]any
}

// errInvalid is the cause of whatever is wrong with a request.
const errInvalid = syscall.EINVAL

// Decode reads a request: a JSON object with "prefix", or bare words.
func Decode(p []byte) (*Request, error) {
	p = bytes.TrimSpace(p)
	switch {
	case len(p) > MaxRequest:
		return nil, fmt.Errorf("request of more than %d bytes: %w", MaxRequest, syscall.EMSGSIZE)
	case len(p) == 0:
		return nil, fmt.Errorf("empty request: %w", errInvalid)
	case p[0] != '{':
		return &Request{words: strings.Fields(string(p))}, nil
	}
	r := &Request{args: make(map[string]any)}
	d := json.NewDecoder(bytes.NewReader(p))
	d.UseNumber()
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, malformed(err)
		}
		key, _ := t.(string) // of an object: always a string
		var v any
		if err := d.Decode(&v); err != nil {
			return nil, malformed(err)
		}
		if _, ok := r.args[key]; ok {
			return nil, fmt.Errorf("%q is given twice: %w", key, errInvalid)
		}
		r.args[key] = v
	}
	if _, err := d.Token(); err != nil {
		return nil, malformed(err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the request: %w", errInvalid)
	}
	var ok bool
	if r.Prefix, ok = r.args["prefix"].(string); !ok || strings.TrimSpace(r.Prefix) == "" {
		return nil, fmt.Errorf("no \"prefix\" names the command: %w", errInvalid)
	}
	if f, ok := r.args["format"].(string); ok {
		r.Format = f
	}
	// "target" is Ceph's: which daemon is meant, which the socket says already.
	for _, k := range [...]string{"prefix", "format", "target"} {
		delete(r.args, k)
	}
	return r, nil
}

func malformed(err error) error { return fmt.Errorf("no JSON: %v: %w", err, errInvalid) }

// Kind is the type of an argument.
type Kind string

// The kinds, with Ceph's names for them.
const (
	String Kind = "CephString"
	Int    Kind = "CephInt" // from 0 on
	Bool   Kind = "CephBool"
	Choice Kind = "CephChoices"
	PGID   Kind = "CephPgid" // a string, to us
)

// Arg describes an argument of a command.
type Arg struct {
	Name     string
	Kind     Kind
	Choices  []string // of a Choice
	Required bool
	Help     string // lower case, no full stop
}

// check takes an argument as it came and returns it as string, int64 or bool.
func (a *Arg) check(v any) (any, error) {
	text, isText := v.(string)
	if n, ok := v.(json.Number); ok {
		text = n.String()
	}
	switch a.Kind {
	case Int:
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
			return n, nil
		}
		return nil, fmt.Errorf("%s: %v: not a number from 0 on: %w", a.Name, v, errInvalid)
	case Bool:
		if b, ok := v.(bool); ok {
			return b, nil
		}
		switch text {
		case "true", "1":
			return true, nil
		case "false", "0":
			return false, nil
		}
		return nil, fmt.Errorf("%s: %v: not true or false: %w", a.Name, v, errInvalid)
	case Choice:
		if isText && slices.Contains(a.Choices, text) {
			return text, nil
		}
		return nil, fmt.Errorf("%s: %v: it is one of %s: %w", a.Name, v, strings.Join(a.Choices, ", "), errInvalid)
	}
	if !isText {
		return nil, fmt.Errorf("%s: not a string: %w", a.Name, errInvalid)
	}
	return text, nil
}

// bind gives r the arguments that c declares, checked.
func (r *Request) bind(c *Command) error {
	if r.words != nil {
		rest := r.words[len(strings.Fields(c.Name)):]
		if len(rest) > len(c.Args) {
			return fmt.Errorf("%s: too many words: %q: %w", c.Name, rest[len(c.Args)], errInvalid)
		}
		r.args = make(map[string]any)
		for i, w := range rest {
			r.args[c.Args[i].Name] = w
		}
	}
	known := make(map[string]any, len(r.args))
	for i := range c.Args {
		a := &c.Args[i]
		v, ok := r.args[a.Name]
		if !ok {
			if a.Required {
				return fmt.Errorf("%s: %s is missing: %w", c.Name, a.Name, errInvalid)
			}
			continue
		}
		var err error
		if known[a.Name], err = a.check(v); err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
	}
	for k := range r.args {
		if _, ok := known[k]; !ok {
			return fmt.Errorf("%s: no argument %q: %w", c.Name, k, errInvalid)
		}
	}
	r.Prefix, r.args = c.Name, known
	return nil
}

// String returns a declared argument, "" if it was not given.
func (r *Request) String(name string) string { v, _ := r.args[name].(string); return v }

// Int is String for an Int.
func (r *Request) Int(name string) int64 { v, _ := r.args[name].(int64); return v }

// Bool is String for a Bool.
func (r *Request) Bool(name string) bool { v, _ := r.args[name].(bool); return v }

// Has reports whether an argument was given.
func (r *Request) Has(name string) bool { _, ok := r.args[name]; return ok }
