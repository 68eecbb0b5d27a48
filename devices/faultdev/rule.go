package faultdev

import (
	"fmt"
	"strconv"
	"strings"

	"ebofs/devices"
)

// Kind is what happens to an I/O; see the package comment.
type Kind uint8

// The kinds of faults.
const (
	EIO Kind = iota
	Full
	Short
	Zeros
	Stale
	Flip
	Misdirect
	Drop
	Lie
	Slow
	Hang
	numKinds
)

var kindNames = [numKinds]string{"eio", "full", "short", "zeros", "stale", "flip", "misdirect", "drop", "lie", "slow", "hang"}

// String returns the name of the kind in scripts.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Ops is a set of operations.
type Ops uint8

// AnyOp is every operation.
const AnyOp = Ops(1<<devices.NumOps - 1)

// Only returns the set of the operations given.
func Only(ops ...devices.Op) (s Ops) {
	for _, op := range ops {
		s |= 1 << op
	}
	return s
}

// has tells whether op is in the set.
func (s Ops) has(op devices.Op) bool { return s>>op&1 == 1 }

// String returns the word for the set in scripts: scripts know single
// operations and "any".
func (s Ops) String() string {
	if s == AnyOp {
		return "any"
	}
	var names []string
	for op := range devices.Op(devices.NumOps) {
		if s.has(op) {
			names = append(names, op.String())
		}
	}
	return strings.Join(names, "|")
}

// allowed are the operations a kind has a meaning for.
var allowed = [numKinds]Ops{
	EIO:       AnyOp,
	Full:      Only(devices.OpWrite, devices.OpZero),
	Short:     Only(devices.OpRead, devices.OpWrite),
	Zeros:     Only(devices.OpRead),
	Stale:     Only(devices.OpRead),
	Flip:      Only(devices.OpRead, devices.OpWrite),
	Misdirect: Only(devices.OpRead, devices.OpWrite),
	Drop:      Only(devices.OpWrite, devices.OpDiscard, devices.OpZero),
	Lie:       Only(devices.OpFlush),
	Slow:      AnyOp,
	Hang:      AnyOp,
}

// Rule says which I/O fails and how. The zero value of each field but Ops and
// Kind means "no condition".
type Rule struct {
	Ops    Ops
	Kind   Kind
	B      devices.Block // with N: only I/O that touches these blocks; never a flush
	N      uint64
	Site   string  // only I/O with this label
	Nth    uint64  // the first hit is the Nth I/O that matches the above, from 1
	P      float64 // each I/O that matches all the above is hit with this probability
	Always bool    // go on after the first hit
	By     int64   // Misdirect: how many blocks away; 0 means 1
}

// validate returns why r makes no sense.
func (r Rule) validate() error {
	switch {
	case r.Kind >= numKinds:
		return fmt.Errorf("unknown %v", r.Kind)
	case r.Ops == 0 || r.Ops&^allowed[r.Kind] != 0:
		return fmt.Errorf("%v does not apply to %v, only to %v", r.Kind, r.Ops, allowed[r.Kind])
	case !(r.P >= 0 && r.P <= 1): // not a number is neither
		return fmt.Errorf("probability %v", r.P)
	}
	return nil
}

// String returns the rule as a line of a script.
func (r Rule) String() string {
	var s strings.Builder
	s.WriteString(r.Ops.String())
	if r.N > 0 {
		fmt.Fprintf(&s, " range=%d~%d", r.B, r.N)
	}
	if r.Site != "" {
		fmt.Fprintf(&s, " site=%s", r.Site)
	}
	if r.Nth > 0 {
		fmt.Fprintf(&s, " nth=%d", r.Nth)
	}
	if r.P > 0 {
		fmt.Fprintf(&s, " p=%v", r.P)
	}
	if r.By != 0 {
		fmt.Fprintf(&s, " by=%d", r.By)
	}
	fmt.Fprintf(&s, " %v", r.Kind)
	if r.Always {
		s.WriteString(" always")
	}
	return s.String()
}

// Parse reads a script. Errors name the line.
func Parse(script string) (rules []Rule, err error) {
	for i, line := range strings.Split(script, "\n") {
		line, _, _ = strings.Cut(line, "#")
		for _, text := range strings.Split(line, ";") {
			words := strings.Fields(text)
			if len(words) == 0 {
				continue
			}
			r, err := parseRule(words)
			if err != nil {
				return nil, fmt.Errorf("line %d: %q: %w", i+1, strings.TrimSpace(text), err)
			}
			rules = append(rules, r)
		}
	}
	return rules, nil
}

func parseRule(words []string) (r Rule, err error) {
	if r.Ops, err = parseOps(words[0]); err != nil {
		return r, err
	}
	r.Kind = numKinds
	for _, w := range words[1:] {
		name, value, isOption := strings.Cut(w, "=")
		if isOption {
			err = r.option(name, value)
		} else {
			err = r.word(w)
		}
		if err != nil {
			return r, err
		}
	}
	if r.Kind == numKinds {
		return r, fmt.Errorf("no kind of fault")
	}
	return r, r.validate()
}

func parseOps(word string) (Ops, error) {
	if word == "any" {
		return AnyOp, nil
	}
	for op := range devices.Op(devices.NumOps) {
		if op.String() == word {
			return Only(op), nil
		}
	}
	return 0, fmt.Errorf("unknown operation %q", word)
}

// word takes a word that is no option: a kind, once or always.
func (r *Rule) word(w string) error {
	switch w {
	case "once":
		r.Always = false
		return nil
	case "always":
		r.Always = true
		return nil
	}
	for k, name := range kindNames {
		if name != w {
			continue
		}
		if r.Kind != numKinds {
			return fmt.Errorf("both %v and %s", r.Kind, w)
		}
		r.Kind = Kind(k)
		return nil
	}
	return fmt.Errorf("unknown word %q", w)
}

func (r *Rule) option(name, value string) (err error) {
	switch name {
	case "range":
		b, n, ok := strings.Cut(value, "~")
		if !ok {
			return fmt.Errorf("range %q is not start~length", value)
		}
		var start uint64
		if start, err = strconv.ParseUint(b, 10, 64); err == nil {
			r.B = devices.Block(start)
			r.N, err = strconv.ParseUint(n, 10, 64)
		}
		if err == nil && r.N == 0 {
			err = fmt.Errorf("range %q is empty", value)
		}
	case "site":
		r.Site = value
	case "nth":
		r.Nth, err = strconv.ParseUint(value, 10, 64)
	case "p":
		r.P, err = strconv.ParseFloat(value, 64)
	case "by":
		r.By, err = strconv.ParseInt(value, 10, 64)
	default:
		err = fmt.Errorf("unknown option %q", name)
	}
	return err
}
