package crush

import (
	"fmt"
	"math"
)

// NewRule is what a rule for whole failure domains is made from.
type NewRule struct {
	Name   string
	Root   string   // bucket to take
	Class  string   // device class, "" for all devices
	Domain string   // type of which each holds one copy or shard at most
	Type   RuleType // Erasure rules keep positions and try harder
}

// AddRule adds a rule and returns its id. The class must have devices below the
// root by the end of the edit, which a validation holds against.
func (e *Editor) AddRule(r NewRule) (int, error) {
	if !validWord(r.Name) {
		return 0, fmt.Errorf("rule name %q: %w", r.Name, ErrInvalid)
	}
	id := -1
	for i := range math.MaxUint8 + 1 {
		if id < 0 && e.m.Rule(i) == nil {
			id = i
		}
	}
	for other, name := range e.m.RuleNames {
		if name == r.Name {
			return 0, fmt.Errorf("rule %s (%d): %w", name, other, ErrExists)
		}
	}
	if id < 0 {
		return 0, fmt.Errorf("there are %d rules: %w", math.MaxUint8+1, ErrExists)
	}
	root, err := e.find(r.Root)
	if err != nil {
		return 0, err
	}
	domain, err := e.findType(r.Domain)
	if err != nil {
		return 0, err
	}
	if r.Class != "" {
		if root, err = e.reserve(root, r.Class); err != nil {
			return 0, err
		}
	}
	choose, leaf := ChooseFirstN, ChooseLeafFirstN
	rule := &Rule{Type: r.Type, MinSize: 1, MaxSize: 10}
	switch r.Type {
	case Replicated:
	case Erasure:
		choose, leaf = ChooseIndep, ChooseLeafIndep
		rule.MinSize, rule.MaxSize = 3, 20
		rule.Steps = append(rule.Steps, Step{Op: SetChooseLeafTries, Arg1: 5}, Step{Op: SetChooseTries, Arg1: 100})
	default:
		return 0, fmt.Errorf("rule %s of type %d: %w", r.Name, r.Type, ErrInvalid)
	}
	op := leaf
	if domain == 0 {
		op = choose
	}
	rule.Steps = append(rule.Steps, Step{Op: Take, Arg1: root}, Step{Op: op, Arg2: domain}, Step{Op: Emit})
	e.m.putRule(id, r.Name, rule)
	return id, nil
}

// RemoveRule removes a rule.
func (e *Editor) RemoveRule(name string) error {
	id, err := e.findRule(name)
	if err != nil {
		return err
	}
	delete(e.m.RuleNames, id)
	e.m.Rules[id] = nil
	return nil
}

// RenameRule gives a rule another name.
func (e *Editor) RenameRule(from, to string) error {
	id, err := e.findRule(from)
	if err != nil {
		return err
	}
	if _, err := e.findRule(to); err == nil || !validWord(to) {
		return fmt.Errorf("rule %q: it is there, or cannot be: %w", to, ErrExists)
	}
	e.m.RuleNames[id] = to
	return nil
}

func (e *Editor) findRule(name string) (int32, error) {
	for id, n := range e.m.RuleNames {
		if n == name {
			return id, nil
		}
	}
	return 0, fmt.Errorf("rule %s: %w", name, ErrNotFound)
}
