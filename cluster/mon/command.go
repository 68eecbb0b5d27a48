package mon

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/msg"
)

// command is one command of `ceph`.
type command struct {
	words  []string // its literal words
	args   []arg
	module string
	perm   string // what the caps must allow: letters of r, w, x
	flags  int
	help   string
	run    func(c *call) error
}

// arg is an argument, as the command line tool is told of it.
type arg struct {
	name, kind string
	optional   bool
	many       bool
	choices    string // "a|b|c"
	rng        string // "0" or "0|65535"
	goodchars  string
}

func (c *command) prefix() string { return strings.Join(c.words, " ") }

// Flags of commands, as the command line tool is told of them.
const (
	flagTell       = 1 // for `ceph tell mon.X`: of that monitor alone
	flagDeprecated = 4
	flagHidden     = 32 // not in the list of help
)

// commands are all of them, by prefix, and in the order of help; tells are those of
// `ceph tell mon.X`.
var (
	commands = map[string]*command{}
	tells    = map[string]*command{}
	inOrder  []*command
)

// add declares a command. The signature is its words, then arguments as
// NAME:TYPE, in brackets if optional, with "…" if there may be several; CHOICES or
// RANGE follow "=".
//
//	osd pool create pool:CephPoolname [pg_num:CephInt=0] [pool_type:CephChoices=replicated|erasure]
func add(module, perm, signature, help string, run func(c *call) error) {
	c := parse(signature)
	c.module, c.perm, c.help, c.run = module, perm, help, run
	enter(commands, c)
}

// old declares another name of a command, which is in no list of help.
func old(module, perm, signature, help string, run func(c *call) error) {
	c := parse(signature)
	c.module, c.perm, c.help, c.run, c.flags = module, perm, help, run, flagDeprecated
	enter(commands, c)
}

// hidden declares a command that programs use, which is in no list of help.
func hidden(module, perm, signature, help string, run func(c *call) error) {
	c := parse(signature)
	c.module, c.perm, c.help, c.run, c.flags = module, perm, help, run, flagHidden
	enter(commands, c)
}

// tell declares a command of `ceph tell mon.X`.
func tell(perm, signature, help string, run func(c *call) error) {
	c := parse(signature)
	c.module, c.perm, c.help, c.run, c.flags = "mon", perm, help, run, flagTell
	enter(tells, c)
}

func enter(table map[string]*command, c *command) {
	if table[c.prefix()] != nil {
		panic("mon: command twice: " + c.prefix())
	}
	table[c.prefix()] = c
	inOrder = append(inOrder, c)
}

func parse(signature string) *command {
	c := &command{}
	for _, w := range strings.Fields(signature) {
		a := arg{}
		if w, a.optional = strings.CutPrefix(w, "["); a.optional {
			w = strings.TrimSuffix(w, "]")
		}
		name, kind, isArg := strings.Cut(w, ":")
		if !isArg {
			c.words = append(c.words, w)
			continue
		}
		kind, extra, _ := strings.Cut(kind, "=")
		kind, a.many = strings.CutSuffix(kind, "…")
		a.name, a.kind = name, kind
		switch {
		case kind == "CephChoices":
			a.choices = extra
		case kind == "CephString":
			a.goodchars = extra
		default:
			a.rng = extra
		}
		c.args = append(c.args, a)
	}
	return c
}

// describe returns what get_command_descriptions answers. Values are strings, as
// real monitors send them.
func describe(toMonitor bool) []byte {
	type description struct {
		Sig    []any  `json:"sig"`
		Help   string `json:"help"`
		Module string `json:"module"`
		Perm   string `json:"perm"`
		Flags  int    `json:"flags"`
	}
	out := map[string]description{}
	for i, c := range inOrder {
		if toMonitor != (c.flags&flagTell != 0) {
			continue
		}
		d := description{Help: c.help, Module: c.module, Perm: c.perm, Flags: c.flags &^ flagTell}
		for _, w := range c.words {
			d.Sig = append(d.Sig, w)
		}
		for _, a := range c.args {
			m := map[string]string{"name": a.name, "type": a.kind}
			if a.optional {
				m["req"] = "false"
			}
			for k, v := range map[string]string{"strings": a.choices, "range": a.rng, "goodchars": a.goodchars} {
				if v != "" {
					m[k] = v
				}
			}
			if a.many {
				m["n"] = "N"
			}
			d.Sig = append(d.Sig, m)
		}
		out[fmt.Sprintf("cmd%03d", i)] = d
	}
	p, err := json.Marshal(out)
	if err != nil {
		return nil // cannot be: strings
	}
	return p
}

// call is a command being carried out.
type call struct {
	m      *Monitor
	s      *session // nil: asked from inside this process, which may do anything
	st     *State
	cmd    *command
	args   map[string]json.RawMessage
	format string
	input  []byte
	told   bool // by `ceph tell`

	text    string // for people
	out     []byte
	version uint64 // of the map the answer is from
}

// errText is an error of a command: what the client exits with, and why.
type errText struct {
	ceph.Errno
	text string
}

func (e errText) Error() string { return e.text }
func (e errText) Unwrap() error { return e.Errno }

// fail returns the error of a command.
func fail(e ceph.Errno, format string, args ...any) error {
	return errText{e, fmt.Sprintf(format, args...)}
}

// command carries out a request on a goroutine of its own and hands on the answer.
func (m *Monitor) command(s *session, in *msg.Message, r msg.Request, told bool, answer func(a msg.Answer, version uint64)) {
	words, input := slices.Clone(r.Words), slices.Clone(r.Input)
	m.background(in, func() {
		c := &call{m: m, s: s, st: m.State(), input: input, told: told}
		err := c.do(words)
		a := msg.Answer{Text: c.text, Output: c.out}
		if err != nil {
			a.Result, a.Text = int32(ceph.EIO), err.Error()
			var e ceph.Errno
			if errors.As(err, &e) {
				a.Result = int32(e)
			}
		}
		answer(a, max(c.version, uint64(c.st.OSD.Epoch)))
	})
}

// do finds and runs the command.
func (c *call) do(words []string) error {
	if len(words) != 1 {
		return fail(ceph.EINVAL, "a command is one JSON object, not %d", len(words))
	}
	if err := json.Unmarshal([]byte(words[0]), &c.args); err != nil {
		return fail(ceph.EINVAL, "command is not a JSON object: %v", err)
	}
	prefix, _ := c.str("prefix")
	c.format, _ = c.str("format")
	if prefix == "get_command_descriptions" {
		c.out = describe(c.told)
		return nil
	}
	if c.told {
		c.cmd = tells[prefix]
	}
	if c.cmd == nil { // a client may ask one monitor what it may ask any
		c.cmd = commands[prefix]
	}
	if c.cmd == nil {
		return fail(ceph.EINVAL, "command not known")
	}
	args := map[string]string{}
	for name := range c.args {
		args[name], _ = c.str(name)
	}
	if c.s != nil && !c.m.allowedCommand(c.s, c.cmd.module, c.cmd.perm, c.cmd.prefix(), args) {
		return fail(ceph.EACCES, "access denied: %s needs %s on %s", c.cmd.prefix(), c.cmd.perm, c.cmd.module)
	}
	for _, a := range c.cmd.args {
		if err := c.check(a); err != nil {
			return err
		}
	}
	return c.cmd.run(c)
}

// check holds an argument against its description.
func (c *call) check(a arg) error {
	if _, ok := c.args[a.name]; !ok {
		if a.optional {
			return nil
		}
		return fail(ceph.EINVAL, "missing required parameter %s(%s)", a.name, a.kind)
	}
	for _, v := range c.strs(a.name) {
		switch a.kind {
		case "CephChoices":
			if !slices.Contains(strings.Split(a.choices, "|"), v) {
				return fail(ceph.EINVAL, "%s: %q is not one of %s", a.name, v, a.choices)
			}
		case "CephInt", "CephFloat":
			n, err := strconv.ParseFloat(v, 64)
			if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
				return fail(ceph.EINVAL, "%s: %q is not a number", a.name, v)
			}
			if a.kind == "CephInt" && (n != math.Trunc(n) || math.Abs(n) > 1<<53) {
				return fail(ceph.EINVAL, "%s: %q is not a whole number", a.name, v)
			}
			low, high, both := strings.Cut(a.rng, "|")
			if l, err := strconv.ParseFloat(low, 64); err == nil && n < l {
				return fail(ceph.EINVAL, "%s: %v is below %s", a.name, n, low)
			}
			if h, err := strconv.ParseFloat(high, 64); both && err == nil && n > h {
				return fail(ceph.EINVAL, "%s: %v is above %s", a.name, n, high)
			}
		}
	}
	return nil
}

// str returns an argument as text, and whether it is there.
func (c *call) str(name string) (string, bool) {
	list := c.strs(name)
	if len(list) == 0 {
		return "", false
	}
	return list[0], true
}

// strs returns an argument that may come several times.
func (c *call) strs(name string) []string {
	raw, ok := c.args[name]
	if !ok {
		return nil
	}
	var list []json.RawMessage
	if json.Unmarshal(raw, &list) != nil {
		list = []json.RawMessage{raw}
	}
	out := make([]string, 0, len(list))
	for _, r := range list {
		var s string
		if json.Unmarshal(r, &s) != nil {
			s = string(r) // a number or a bool, as it is written
		}
		out = append(out, s)
	}
	return out
}

// num returns a number, or def.
func (c *call) num(name string, def int64) int64 {
	s, ok := c.str(name)
	if !ok {
		return def
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return def
	}
	return int64(f)
}

func parseFloat(s string) (float64, error) { return strconv.ParseFloat(s, 64) }

// float returns a number, or def.
func (c *call) float(name string, def float64) float64 {
	s, ok := c.str(name)
	if !ok {
		return def
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return def
	}
	return f
}

// weight returns the argument of that name.
func (c *call) weight() (crush.Weight, error) {
	f := c.float("weight", 0)
	w, ok := crush.MakeWeight(f)
	if !ok {
		return 0, fail(ceph.EINVAL, "weight %g: it is from 0 to less than 65536", f)
	}
	return w, nil
}

// flag reports whether a bool is set.
func (c *call) flag(name string) bool {
	s, _ := c.str(name)
	return s == "true" || s == "--"+strings.ReplaceAll(name, "_", "-")
}

// osdID reads "3" or "osd.3".
func osdID(s string) (int32, error) {
	n, err := strconv.ParseInt(strings.TrimPrefix(s, "osd."), 10, 31)
	if err != nil || n < 0 {
		return 0, fail(ceph.EINVAL, "invalid osd id %q", s)
	}
	return int32(n), nil
}

// change makes a change for the command.
func (c *call) change(f func(*Change) error) error {
	st, err := c.m.change(c.m.ctx, func(ch *Change) error {
		if err := f(ch); err != nil {
			return err
		}
		if ch.any() {
			c.audit(ch)
		}
		return nil
	})
	c.st, c.version = st, uint64(st.OSD.Epoch)
	return err
}

// print answers with v in the format asked for; plain makes the text of it.
func (c *call) print(v any, plain func() string) error {
	switch c.format {
	case "json":
		p, err := json.Marshal(v)
		if err != nil {
			return err
		}
		c.out = append([]byte{'\n'}, append(p, '\n')...)
	case "json-pretty":
		p, err := json.MarshalIndent(v, "", "    ")
		if err != nil {
			return err
		}
		c.out = append([]byte{'\n'}, append(p, '\n')...)
	case "", "plain":
		if plain != nil {
			c.out = []byte(plain())
			return nil
		}
		c.format = "json-pretty"
		return c.print(v, nil)
	default:
		return fail(ceph.EINVAL, "format %q is not offered, use plain, json or json-pretty", c.format)
	}
	return nil
}
