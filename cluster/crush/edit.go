package crush

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// ErrNotFound is wrapped when an edit names what is not there, ErrExists when it
// would make what is there already, ErrInUse when it would remove what is needed.
var (
	ErrNotFound = errors.New("not found")
	ErrExists   = errors.New("exists")
	ErrInUse    = errors.New("in use")
)

// defaultTypes are those of a new cluster, from 0 on.
var defaultTypes = []string{"osd", "host", "chassis", "rack", "row", "pdu", "pod", "room", "datacenter", "zone", "region", "root"}

// New returns the map of a new cluster: types and tunables, nothing else.
func New() *Map {
	m := &Map{Tunables: DefaultTunables(), Types: map[int32]string{}}
	for i, name := range defaultTypes {
		m.Types[int32(i)] = name
	}
	return m
}

// Clone returns a copy that shares nothing with m.
func (m *Map) Clone() *Map {
	c := *m
	c.Buckets, c.Rules = slices.Clone(m.Buckets), slices.Clone(m.Rules)
	for i, b := range m.Buckets {
		if b != nil {
			n := *b
			n.Items, n.Weights, n.Derived = slices.Clone(b.Items), slices.Clone(b.Weights), slices.Clone(b.Derived)
			c.Buckets[i] = &n
		}
	}
	for i, r := range m.Rules {
		if r != nil {
			n := *r
			n.Steps = slices.Clone(r.Steps)
			c.Rules[i] = &n
		}
	}
	c.Types, c.Names, c.RuleNames = maps.Clone(m.Types), maps.Clone(m.Names), maps.Clone(m.RuleNames)
	c.Classes, c.ClassNames, c.Shadows = maps.Clone(m.Classes), maps.Clone(m.ClassNames), maps.Clone(m.Shadows)
	for id, of := range m.Shadows {
		c.Shadows[id] = maps.Clone(of)
	}
	c.ChooseArgs = maps.Clone(m.ChooseArgs)
	for set, args := range m.ChooseArgs {
		copied := make(map[int32]ChooseArg, len(args))
		for id, a := range args {
			n := ChooseArg{WeightSet: slices.Clone(a.WeightSet), IDs: slices.Clone(a.IDs)}
			for i, w := range a.WeightSet {
				n.WeightSet[i] = slices.Clone(w)
			}
			copied[id] = n
		}
		c.ChooseArgs[set] = copied
	}
	return &c
}

// Edit changes m by f: wholly or, if f fails or what comes out is not valid, not
// at all. Weights of parents, straw lengths, weight sets and shadow trees follow.
func (m *Map) Edit(f func(*Editor) error) error {
	e := &Editor{m: m.Clone()}
	e.shadows = e.m.dropShadows()
	if err := f(e); err != nil {
		return err
	}
	if err := e.m.buildShadows(e.shadows); err != nil {
		return err
	}
	if err := e.m.Validate(); err != nil {
		return err
	}
	*m = *e.m
	return nil
}

// Editor changes a map within Edit. After an error the edit has failed.
type Editor struct {
	m       *Map
	shadows map[int32]map[int32]int32 // ids of the shadow trees, which are not in m now
}

// Map returns the map as it is now, without its shadow trees.
func (e *Editor) Map() *Map { return e.m }

// Place names a bucket and its type.
type Place struct{ Type, Name string }

// find returns the item of that name.
func (e *Editor) find(name string) (int32, error) {
	for id, n := range e.m.Names {
		if n == name {
			return id, nil
		}
	}
	return 0, fmt.Errorf("item %s: %w", name, ErrNotFound)
}

func (e *Editor) findType(name string) (int32, error) {
	for id, n := range e.m.Types {
		if n == name {
			return id, nil
		}
	}
	return 0, fmt.Errorf("type %s: %w", name, ErrNotFound)
}

// newName returns an error if name is taken or cannot be one. The ~ is for shadows.
func (e *Editor) newName(name string) error {
	if !validWord(name) || strings.Contains(name, "~") {
		return fmt.Errorf("name %q: only letters, digits, - _ and . may be in it: %w", name, ErrInvalid)
	}
	if _, err := e.find(name); err == nil {
		return fmt.Errorf("item %s: %w", name, ErrExists)
	}
	return nil
}

// AddDevice adds a device with that weight at a location, see Link.
func (e *Editor) AddDevice(id int32, name string, weight Weight, at ...Place) error {
	if err := e.newName(name); err != nil {
		return err
	}
	if id < 0 || id > maxDevice {
		return fmt.Errorf("device id %d: it is from 0 to %d: %w", id, maxDevice, ErrInvalid)
	}
	if n, ok := e.m.Names[id]; ok {
		return fmt.Errorf("device %d, called %s: %w", id, n, ErrExists)
	}
	put(&e.m.Names, id, name)
	e.m.MaxDevices = max(e.m.MaxDevices, id+1)
	return e.link(id, weight, at)
}

// AddBucket adds an empty bucket that lies nowhere yet and returns its id.
func (e *Editor) AddBucket(name, typ string, alg Alg) (int32, error) {
	if err := e.newName(name); err != nil {
		return 0, err
	}
	t, err := e.findType(typ)
	if err != nil {
		return 0, err
	}
	if alg < Uniform || alg > Straw2 || e.m.Tunables.AllowedAlgs&(1<<alg) == 0 {
		return 0, fmt.Errorf("bucket %s: algorithm %s is not allowed by the tunables: %w", name, alg, ErrInvalid)
	}
	b := &Bucket{ID: e.freeID(), Type: uint16(t), Alg: alg}
	if err := b.setWeights([]Weight{}, 0); err != nil {
		return 0, err
	}
	e.m.putBucket(b)
	put(&e.m.Names, b.ID, name)
	return b.ID, nil
}

// AddType adds a type of buckets.
func (e *Editor) AddType(id int32, name string) error {
	if _, err := e.findType(name); err == nil || e.m.Types[id] != "" {
		return fmt.Errorf("type %d %s: %w", id, name, ErrExists)
	}
	put(&e.m.Types, id, name)
	return nil
}

// Link puts an item at a location, besides where it lies: into the place of the
// lowest type, which is made if it is not there and then itself put into the next
// one. No place at all leaves the item where it is.
func (e *Editor) Link(name string, at ...Place) error {
	id, err := e.find(name)
	if err != nil {
		return err
	}
	weight := Weight(0)
	if b := e.m.Bucket(id); b != nil {
		weight = b.Weight
	} else if p, i := e.parent(id); p != nil {
		weight = p.ItemWeight(i)
	}
	return e.link(id, weight, at)
}

func (e *Editor) link(id int32, weight Weight, at []Place) error {
	types := make(map[string]int32, len(at))
	for _, p := range at {
		t, err := e.findType(p.Type)
		if err != nil {
			return err
		}
		if b := e.m.Bucket(id); t == 0 || b != nil && t <= int32(b.Type) {
			return fmt.Errorf("%s cannot lie in a %s: %w", e.m.Names[id], p.Type, ErrInvalid)
		}
		types[p.Type] = t
	}
	at = slices.Clone(at)
	slices.SortStableFunc(at, func(a, b Place) int { return int(types[a.Type] - types[b.Type]) })
	for _, p := range at {
		in, err := e.find(p.Name)
		if err == nil {
			b := e.m.Bucket(in)
			if b == nil || int32(b.Type) != types[p.Type] {
				return fmt.Errorf("%s is no %s: %w", p.Name, p.Type, ErrInvalid)
			}
			return e.insert(b, id, weight)
		}
		alg := Straw2
		if e.m.Tunables.AllowedAlgs&(1<<Straw2) == 0 {
			alg = Straw
		}
		if in, err = e.AddBucket(p.Name, p.Type, alg); err != nil {
			return err
		}
		if err := e.insert(e.m.Bucket(in), id, weight); err != nil {
			return err
		}
		id = in
	}
	return nil
}

// Unlink takes an item out of every bucket it lies in.
func (e *Editor) Unlink(name string) error {
	id, err := e.find(name)
	if err != nil {
		return err
	}
	for p, i := e.parent(id); p != nil; p, i = e.parent(id) {
		if err := e.delete(p, i); err != nil {
			return err
		}
	}
	return nil
}

// Move takes an item from where it lies to a location, see Link.
func (e *Editor) Move(name string, at ...Place) error {
	id, err := e.find(name)
	if err != nil {
		return err
	}
	weight := Weight(0)
	if p, i := e.parent(id); p != nil {
		weight = p.ItemWeight(i)
	}
	if b := e.m.Bucket(id); b != nil {
		weight = b.Weight
	}
	if err := e.Unlink(name); err != nil {
		return err
	}
	return e.link(id, weight, at)
}

// Remove removes a device, or a bucket that is empty and that no rule takes.
func (e *Editor) Remove(name string) error {
	id, err := e.find(name)
	if err != nil {
		return err
	}
	if b := e.m.Bucket(id); b != nil && len(b.Items) > 0 {
		return fmt.Errorf("bucket %s has %d items: %w", name, len(b.Items), ErrInUse)
	}
	for rule, r := range e.m.Rules {
		if r != nil && slices.ContainsFunc(r.Steps, func(s Step) bool { return s.Op == Take && s.Arg1 == id }) {
			return fmt.Errorf("%s is taken by rule %s: %w", name, e.m.RuleNames[int32(rule)], ErrInUse)
		}
	}
	if err := e.Unlink(name); err != nil {
		return err
	}
	if id < 0 {
		e.m.Buckets[-1-id] = nil
		for _, args := range e.m.ChooseArgs {
			delete(args, id)
		}
	}
	delete(e.m.Names, id)
	delete(e.m.Classes, id)
	return nil
}

// Rename gives an item another name.
func (e *Editor) Rename(from, to string) error {
	id, err := e.find(from)
	if err != nil {
		return err
	}
	if err := e.newName(to); err != nil {
		return err
	}
	e.m.Names[id] = to
	return nil
}

// Reweight sets the weight of a device, or of all devices below a bucket, wherever
// they lie.
func (e *Editor) Reweight(name string, weight Weight) error {
	id, err := e.find(name)
	if err != nil {
		return err
	}
	for _, device := range e.devices(id) {
		for _, b := range e.m.Buckets {
			if b == nil {
				continue
			}
			if i := slices.Index(b.Items, device); i >= 0 {
				if err := e.reweigh(b, i, weight); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// SetClass gives a device a class; "" takes it away.
func (e *Editor) SetClass(device, class string) error {
	id, err := e.find(device)
	switch {
	case err != nil:
		return err
	case id < 0:
		return fmt.Errorf("%s is no device: %w", device, ErrInvalid)
	case class == "":
		delete(e.m.Classes, id)
		return nil
	case !validWord(class) || strings.Contains(class, "~"):
		return fmt.Errorf("class %q: only letters, digits, - _ and . may be in it: %w", class, ErrInvalid)
	}
	put(&e.m.Classes, id, e.m.classID(class))
	return nil
}

// RemoveClass forgets a class that no device has.
func (e *Editor) RemoveClass(class string) error {
	for id, name := range e.m.ClassNames {
		if name != class {
			continue
		}
		for device, c := range e.m.Classes {
			if c == id {
				return fmt.Errorf("class %s is that of %s: %w", class, e.m.Names[device], ErrInUse)
			}
		}
		delete(e.m.ClassNames, id)
		return nil
	}
	return fmt.Errorf("class %s: %w", class, ErrNotFound)
}

// SetTunables replaces the tunables. Straw lengths follow when their bucket changes.
func (e *Editor) SetTunables(t Tunables) { e.m.Tunables = t }
