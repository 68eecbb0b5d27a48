package crush

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// build makes a map of racks of hosts of devices, classes taking turns.
func build(t testing.TB, racks, hosts, devices int) *Map {
	t.Helper()
	m := New()
	err := m.Edit(func(e *Editor) error {
		id := int32(0)
		for r := range racks {
			for h := range hosts {
				for range devices {
					name := fmt.Sprintf("osd.%d", id)
					at := []Place{{"root", "default"}, {"host", fmt.Sprintf("h%d-%d", r, h)}, {"rack", fmt.Sprintf("r%d", r)}}
					if err := e.AddDevice(id, name, One, at...); err != nil {
						return err
					}
					if err := e.SetClass(name, []string{"hdd", "ssd"}[id%2]); err != nil {
						return err
					}
					id++
				}
			}
		}
		_, err := e.AddRule(NewRule{Name: "all", Root: "default", Domain: "host", Type: Replicated})
		if err != nil {
			return err
		}
		_, err = e.AddRule(NewRule{Name: "fast", Root: "default", Class: "ssd", Domain: "host", Type: Replicated})
		if err != nil {
			return err
		}
		_, err = e.AddRule(NewRule{Name: "ec", Root: "default", Domain: "osd", Type: Erasure})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *Map) named(t testing.TB, name string) *Bucket {
	t.Helper()
	for id, n := range m.Names {
		if n == name {
			return m.Bucket(id)
		}
	}
	t.Fatalf("no bucket %s", name)
	return nil
}

// TestBuild: what is built is valid, reads back in every form, and its rules do
// what they were made for.
func TestBuild(t *testing.T) {
	m := build(t, 3, 2, 2)
	if w := m.named(t, "default").Weight; w != 12*One {
		t.Errorf("the root weighs %s", formatWeight(w))
	}
	if w := m.named(t, "default~ssd").Weight; w != 6*One {
		t.Errorf("the root of class ssd weighs %s", formatWeight(w))
	}
	p, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	text, err := m.Decompile()
	if err != nil {
		t.Fatal(err)
	}
	compiled, err := Compile(text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if q, err := compiled.Encode(); err != nil || !bytes.Equal(p, q) {
		t.Errorf("compiled from its text it is another: %v", err)
	}
	mapper, err := NewMapper(m)
	if err != nil {
		t.Fatal(err)
	}
	var w Work
	for x := range uint32(200) {
		for rule, n := range []int{6, 6, 12} {
			r := mapper.Map(&w, Request{Rule: rule, X: x, Size: n, Reweights: m.InUse()})
			seen := map[int32]bool{}
			for _, d := range r.Devices {
				host := d / 2
				if rule == 2 {
					host = d
				}
				if d == None || seen[host] || rule == 1 && m.ClassNames[m.Classes[d]] != "ssd" {
					t.Fatalf("rule %d, x %d: %v", rule, x, r.Devices)
				}
				seen[host] = true
			}
			if r.Short != (len(r.Devices) < n) {
				t.Fatalf("rule %d, x %d: %v, short %v", rule, x, r.Devices, r.Short)
			}
		}
	}
}

// TestEdits: each edit does what it says, and leaves no trace if it fails.
func TestEdits(t *testing.T) {
	type edit = func(e *Editor) error
	ok := func(m *Map) bool { return true }
	weight := func(name string, w Weight) func(*Map) bool {
		return func(m *Map) bool { return m.named(t, name).Weight == w }
	}
	for name, c := range map[string]struct {
		edit edit
		want error
		then func(*Map) bool
	}{
		"reweight a device":    {func(e *Editor) error { return e.Reweight("osd.3", 3*One) }, nil, weight("default", 10*One)},
		"its shadow follows":   {func(e *Editor) error { return e.Reweight("osd.3", 3*One) }, nil, weight("r0~ssd", 4*One)},
		"reweight a rack":      {func(e *Editor) error { return e.Reweight("r1", One/2) }, nil, weight("default", 6*One)},
		"move a host":          {func(e *Editor) error { return e.Move("h0-0", Place{"rack", "r1"}) }, nil, weight("r1", 6*One)},
		"move to a new rack":   {func(e *Editor) error { return e.Move("h0-0", Place{"rack", "r9"}, Place{"root", "default"}) }, nil, weight("r9", 2*One)},
		"link a host":          {func(e *Editor) error { return e.Link("h0-0", Place{"root", "other"}) }, nil, weight("other", 2*One)},
		"unlink a rack":        {func(e *Editor) error { return e.Unlink("r1") }, nil, weight("default", 4*One)},
		"remove a device":      {func(e *Editor) error { return e.Remove("osd.7") }, nil, weight("h1-1", One)},
		"rename":               {func(e *Editor) error { return e.Rename("r0", "rack0") }, nil, weight("rack0~hdd", 2*One)},
		"change a class":       {func(e *Editor) error { return e.SetClass("osd.0", "nvme") }, nil, weight("default~nvme", One)},
		"no class":             {func(e *Editor) error { return e.SetClass("osd.0", "") }, nil, weight("default~hdd", 3*One)},
		"remove a rule":        {func(e *Editor) error { return e.RemoveRule("fast") }, nil, func(m *Map) bool { return m.Rule(1) == nil }},
		"rename a rule":        {func(e *Editor) error { return e.RenameRule("fast", "f") }, nil, func(m *Map) bool { return m.RuleNames[1] == "f" }},
		"a bucket in use":      {func(e *Editor) error { return e.Remove("r0") }, ErrInUse, ok},
		"a root in a rule":     {func(e *Editor) error { return errors.Join(e.Unlink("r0"), e.Unlink("r1"), e.Remove("default")) }, ErrInUse, ok},
		"a name twice":         {func(e *Editor) error { return e.AddDevice(9, "osd.1", One) }, ErrExists, ok},
		"an id twice":          {func(e *Editor) error { return e.AddDevice(1, "new", One) }, ErrExists, ok},
		"a name that is none":  {func(e *Editor) error { return e.Rename("r0", "a b") }, ErrInvalid, ok},
		"a shadow's name":      {func(e *Editor) error { return e.Rename("r0", "a~ssd") }, ErrInvalid, ok},
		"into itself":          {func(e *Editor) error { return e.Move("default", Place{"host", "h0-0"}) }, ErrInvalid, ok},
		"into a device":        {func(e *Editor) error { return e.Move("r0", Place{"root", "osd.0"}) }, ErrInvalid, ok},
		"twice into a bucket":  {func(e *Editor) error { return e.Link("h0-0", Place{"rack", "r0"}) }, ErrExists, ok},
		"a device of no class": {func(e *Editor) error { return e.RemoveClass("ssd") }, ErrInUse, ok},
		"too heavy":            {func(e *Editor) error { return e.Reweight("default", 60000*One) }, ErrInvalid, ok},
		"not there":            {func(e *Editor) error { return e.Reweight("osd.99", One) }, ErrNotFound, ok},
		"no such class": {func(e *Editor) error {
			_, err := e.AddRule(NewRule{Name: "x", Root: "default", Class: "tape", Domain: "host", Type: Replicated})
			return err
		}, ErrNotFound, ok},
		"an algorithm not allowed": {func(e *Editor) error { _, err := e.AddBucket("x", "host", Tree); return err }, ErrInvalid, ok},
	} {
		m := build(t, 2, 2, 2)
		before, _ := m.Encode()
		err := m.Edit(c.edit)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
			continue
		}
		if !c.then(m) {
			text, _ := m.Decompile()
			t.Errorf("%s: not so\n%s", name, text)
		}
		after, err := m.Encode()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.want != nil && !bytes.Equal(before, after) {
			t.Errorf("%s: failed, and the map is another", name)
		}
	}
}

// TestShadowIDs: the ids of shadow trees stay what they are, as rules have them.
func TestShadowIDs(t *testing.T) {
	m := build(t, 2, 2, 2)
	before := m.Clone()
	if err := m.Edit(func(e *Editor) error {
		if err := e.AddDevice(100, "osd.100", One, Place{"host", "new"}, Place{"root", "default"}); err != nil {
			return err
		}
		return e.SetClass("osd.100", "ssd")
	}); err != nil {
		t.Fatal(err)
	}
	for bucket, of := range before.Shadows {
		for class, id := range of {
			if m.Shadows[bucket][class] != id {
				t.Errorf("the shadow of %d for class %d was %d and is %d", bucket, class, id, m.Shadows[bucket][class])
			}
		}
	}
	// Ours and a second edit that changes nothing are the same bytes.
	p, _ := m.Encode()
	if err := m.Edit(func(*Editor) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if q, _ := m.Encode(); !bytes.Equal(p, q) {
		t.Error("an empty edit changes the map")
	}
}

// TestWeightSets: weight sets follow edits of their buckets.
func TestWeightSets(t *testing.T) {
	g := goldens(t)[17]
	m := g.decode(t)
	if err := m.Edit(func(e *Editor) error {
		if err := e.AddDevice(8, "osd.8", One, Place{"host", "host0-0"}); err != nil {
			return err
		}
		if err := e.Remove("osd.4"); err != nil {
			return err
		}
		return e.Reweight("osd.1", 2*One)
	}); err != nil {
		t.Fatal(err)
	}
	a := m.ChooseArgs[0][-2]
	want := [][]Weight{{19660, 2 * One, One}, {3 * One, 2 * One, One}}
	for i := range want {
		if !slices.Equal(a.WeightSet[i], want[i]) {
			t.Errorf("position %d: %v, want %v", i, a.WeightSet[i], want[i])
		}
	}
	if !slices.Equal(a.IDs, []int32{-100, -101, 8}) {
		t.Errorf("ids %v", a.IDs)
	}
}

// TestValidate: golden maps are valid; each way to break one is named.
func TestValidate(t *testing.T) {
	for _, g := range goldens(t) {
		if err := g.decode(t).Validate(); err != nil {
			t.Errorf("%s: %v", g.Name, err)
		}
	}
	for want, damage := range map[string]func(m *Map){
		"lies in itself":              func(m *Map) { b := m.named(t, "h0-0"); b.Items[0] = m.named(t, "default").ID },
		"(-77) is not there":          func(m *Map) { m.Names[-77] = "x"; m.named(t, "h0-0").Items[0] = -77 },
		"beyond max_devices":          func(m *Map) { m.MaxDevices = 3 },
		"is in it twice":              func(m *Map) { b := m.named(t, "h0-0"); b.Items[0] = b.Items[1] },
		"has no name":                 func(m *Map) { delete(m.Names, m.named(t, "h0-0").ID) },
		"is of type 99":               func(m *Map) { m.named(t, "h0-0").Type = 99 },
		"weight 9.000, its items":     func(m *Map) { m.named(t, "r0").Weight = 9 * One },
		"add up to more than 65535":   func(m *Map) { m.named(t, "r0").Weights[0] = ^Weight(0) },
		"is the name of":              func(m *Map) { m.Names[0] = "osd.1" },
		"unknown operation 5":         func(m *Map) { m.Rules[0].Steps[0].Op = 5 },
		"takes item -99":              func(m *Map) { m.Rules[0].Steps[0].Arg1 = -99 },
		"chooses type 88":             func(m *Map) { m.Rules[0].Steps[1].Arg2 = 88 },
		"emits nothing":               func(m *Map) { m.Rules[0].Steps = m.Rules[0].Steps[:2] },
		"chooses before anything":     func(m *Map) { m.Rules[0].Steps = m.Rules[0].Steps[1:] },
		"ruleset 7":                   func(m *Map) { m.Rules[0].Ruleset = 7 },
		"min_size 11 > max_size 10":   func(m *Map) { m.Rules[0].MinSize = 11 },
		"which has no name":           func(m *Map) { delete(m.ClassNames, 0) },
		"is not one":                  func(m *Map) { m.Shadows[m.named(t, "r0").ID][0] = -1 },
		"2 weights and 0 derived":     func(m *Map) { m.named(t, "r0").Items = nil },
		"of unknown algorithm 6":      func(m *Map) { m.named(t, "r0").Alg = 6 },
		"bucket -1 in the place of -": func(m *Map) { m.Buckets[7] = m.Buckets[0] },
	} {
		m := build(t, 2, 2, 2)
		damage(m)
		if err := m.Validate(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), want) {
			t.Errorf("want %q: %v", want, err)
		}
	}
}
