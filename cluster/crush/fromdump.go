package crush

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// FromJSON reads what Dump().JSON writes, with or without the fields that follow
// from others.
func FromJSON(p []byte) (*Map, error) {
	var d Dump
	dec := json.NewDecoder(bytes.NewReader(p))
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("crush map in JSON: %w: %w", err, ErrInvalid)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("crush map in JSON: more behind it: %w", ErrInvalid)
	}
	return d.Map()
}

// setElement is an element that is called by a number, as choose_args has them.
var setElement = regexp.MustCompile(`<(/?)(-?[0-9]+)>`)

// FromXML reads what Dump().XML writes.
func FromXML(p []byte) (*Map, error) {
	p = setElement.ReplaceAll(p, []byte("<${1}_${2}>"))
	var d Dump
	if err := xml.Unmarshal(p, &d); err != nil {
		return nil, fmt.Errorf("crush map in XML: %w: %w", err, ErrInvalid)
	}
	return d.Map()
}

// UnmarshalJSON reads an object whose members are called by the indices.
func (a *DumpArgs) UnmarshalJSON(p []byte) error {
	var sets map[string][]DumpArg
	if err := json.Unmarshal(p, &sets); err != nil {
		return err
	}
	for name, args := range sets {
		set, err := strconv.ParseInt(name, 10, 64)
		if err != nil {
			return fmt.Errorf("choose_args %q is no number", name)
		}
		*a = append(*a, DumpSet{set, args})
	}
	return nil
}

// UnmarshalXML reads elements that are called by the indices, behind a _.
func (a *DumpArgs) UnmarshalXML(d *xml.Decoder, _ xml.StartElement) error {
	var all struct {
		Sets []struct {
			XMLName xml.Name
			Args    []xmlArg `xml:"choose_args"`
		} `xml:",any"`
	}
	if err := d.DecodeElement(&all, &xml.StartElement{}); err != nil {
		return err
	}
	for _, s := range all.Sets {
		set, err := strconv.ParseInt(strings.TrimPrefix(s.XMLName.Local, "_"), 10, 64)
		if err != nil {
			return fmt.Errorf("choose_args %q is no number", s.XMLName.Local)
		}
		out := DumpSet{Index: set}
		for _, x := range s.Args {
			out.Args = append(out.Args, x.arg())
		}
		*a = append(*a, out)
	}
	return nil
}

// Map makes the map that d shows. Class ids are not part of a dump: they are given
// in the order of the devices. Straw lengths and sums are computed.
func (d *Dump) Map() (*Map, error) {
	t := d.Tunables
	u := &undumper{d: d, types: map[string]int32{}, m: &Map{Tunables: Tunables{
		LocalTries: t.LocalTries, LocalFallbackTries: t.LocalFallbackTries, TotalTries: t.TotalTries, DescendOnce: t.DescendOnce,
		VaryR: t.VaryR, Stable: t.Stable, StrawVersion: t.StrawVersion, AllowedAlgs: t.AllowedAlgs,
	}}}
	for _, part := range []func() error{u.names, u.buckets, u.shadows, u.rules, u.args} {
		if err := part(); err != nil {
			return nil, fmt.Errorf("%w: %w", err, ErrInvalid)
		}
	}
	return u.m, u.m.Check()
}

type undumper struct {
	d     *Dump
	m     *Map
	types map[string]int32
}

func (u *undumper) names() error {
	for _, dev := range u.d.Devices {
		if dev.ID < 0 || dev.ID > maxDevice {
			return fmt.Errorf("device id %d", dev.ID)
		}
		if dev.ID < u.m.MaxDevices && u.m.Names[dev.ID] != "" {
			return fmt.Errorf("device %d twice", dev.ID)
		}
		u.m.MaxDevices = max(u.m.MaxDevices, dev.ID+1)
		if dev.Name != noName(dev.ID) {
			put(&u.m.Names, dev.ID, dev.Name)
		}
		if dev.Class != "" {
			put(&u.m.Classes, dev.ID, u.m.classID(dev.Class))
		}
	}
	for _, t := range u.d.Types {
		if _, twice := u.types[t.Name]; twice || t.ID < 0 || t.ID > math.MaxUint16 {
			return fmt.Errorf("type %d %q: twice, or its id is out of range", t.ID, t.Name)
		}
		u.types[t.Name] = t.ID
		put(&u.m.Types, t.ID, t.Name)
	}
	return nil
}

func (u *undumper) buckets() error {
	for _, in := range u.d.Buckets {
		b := &Bucket{ID: in.ID, Type: in.TypeID}
		if in.ID >= 0 || in.ID < -maxBuckets || u.m.Bucket(in.ID) != nil {
			return fmt.Errorf("bucket id %d: twice, or out of range", in.ID)
		}
		var ok bool
		if b.Alg, ok = algNamed(in.Alg); !ok || in.Hash != hashName {
			return fmt.Errorf("bucket %d: algorithm %q, hash %q", in.ID, in.Alg, in.Hash)
		}
		weights := []Weight{}
		for i, item := range in.Items {
			if item.Pos != i {
				return fmt.Errorf("bucket %d: item %d at position %d", in.ID, i, item.Pos)
			}
			b.Items, weights = append(b.Items, item.ID), append(weights, item.Weight)
		}
		if err := b.setWeights(weights, u.m.Tunables.StrawVersion); err != nil {
			return fmt.Errorf("bucket %d: %w", in.ID, err)
		}
		b.Weight = in.Weight
		u.m.putBucket(b)
		if in.Name != "" {
			put(&u.m.Names, in.ID, in.Name)
		}
	}
	return nil
}

// shadows finds the shadow trees by the names of their buckets.
func (u *undumper) shadows() error {
	m := u.m
	ids := map[string]int32{}
	for id, name := range m.Names {
		ids[name] = id
	}
	for _, b := range u.d.Buckets {
		name, class, ok := strings.Cut(b.Name, "~")
		if !ok {
			continue
		}
		bucket, there := ids[name]
		if !there || bucket >= 0 || class == "" || strings.Contains(name, "~") {
			return fmt.Errorf("bucket %s: there is no bucket %s", b.Name, name)
		}
		c := m.classID(class)
		if _, twice := m.Shadows[bucket][c]; twice {
			return fmt.Errorf("bucket %s twice", b.Name)
		}
		put(&m.Classes, b.ID, c)
		if m.Shadows[bucket] == nil {
			put(&m.Shadows, bucket, map[int32]int32{})
		}
		m.Shadows[bucket][c] = b.ID
	}
	return nil
}

func (u *undumper) rules() error {
	for _, in := range u.d.Rules {
		if in.ID < 0 || in.ID > math.MaxUint8 || u.m.Rule(in.ID) != nil {
			return fmt.Errorf("rule id %d: twice, or out of range", in.ID)
		}
		r := &Rule{Type: in.Type, MinSize: in.MinSize, MaxSize: in.MaxSize}
		for _, s := range in.Steps {
			step, err := u.step(s)
			if err != nil {
				return fmt.Errorf("rule %d: %w", in.ID, err)
			}
			r.Steps = append(r.Steps, step)
		}
		u.m.putRule(in.ID, in.Name, r)
		r.Ruleset = in.Ruleset
		if in.Name == "" {
			delete(u.m.RuleNames, int32(in.ID))
		}
	}
	return nil
}

func (u *undumper) step(s DumpStep) (Step, error) {
	value := func(p *int32) int32 {
		if p == nil {
			return 0
		}
		return *p
	}
	if s.Opcode != nil {
		return Step{*s.Opcode, value(s.Arg1), value(s.Arg2)}, nil
	}
	op, ok := opNamed(s.Op)
	if !ok {
		return Step{}, fmt.Errorf("unknown step %q", s.Op)
	}
	step := Step{Op: op}
	switch {
	case op == Take && s.Item == nil:
		return step, errors.New("a take without an item")
	case op == Take:
		step.Arg1 = *s.Item
	case op.chooses():
		typ, ok := u.types[s.Type]
		if !ok {
			return step, fmt.Errorf("%s: there is no type %q", s.Op, s.Type)
		}
		step.Arg1, step.Arg2 = value(s.Num), typ
	case op.sets():
		step.Arg1 = value(s.Num)
	}
	return step, nil
}

func (u *undumper) args() error {
	for _, set := range u.d.ChooseArgs {
		if _, twice := u.m.ChooseArgs[set.Index]; twice {
			return fmt.Errorf("choose_args %d twice", set.Index)
		}
		args := map[int32]ChooseArg{}
		put(&u.m.ChooseArgs, set.Index, args)
		for _, in := range set.Args {
			if _, twice := args[in.Bucket]; twice {
				return fmt.Errorf("choose_args %d: bucket %d twice", set.Index, in.Bucket)
			}
			a := ChooseArg{IDs: in.IDs}
			for _, row := range in.WeightSet {
				weights := []Weight{}
				for _, f := range row {
					w, ok := MakeWeight(f)
					if !ok {
						return fmt.Errorf("choose_args %d: bucket %d: weight %v", set.Index, in.Bucket, f)
					}
					weights = append(weights, w)
				}
				a.WeightSet = append(a.WeightSet, weights)
			}
			args[in.Bucket] = a
		}
	}
	return nil
}
