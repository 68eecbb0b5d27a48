package crush

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// Dump is a map as "ceph osd crush dump" shows it, in JSON and XML. What follows
// from the rest is in it too: names of types and items, features of the tunables.
type Dump struct {
	XMLName    xml.Name     `json:"-" xml:"crush_map"`
	Devices    []DumpDevice `json:"devices" xml:"devices>device"`
	Types      []DumpType   `json:"types" xml:"types>type"`
	Buckets    []DumpBucket `json:"buckets" xml:"buckets>bucket"`
	Rules      []DumpRule   `json:"rules" xml:"rules>rule"`
	Tunables   DumpTunables `json:"tunables" xml:"tunables"`
	ChooseArgs DumpArgs     `json:"choose_args" xml:"choose_args"`
}

// DumpDevice is a device; one without a name is called "deviceN".
type DumpDevice struct {
	ID    int32  `json:"id" xml:"id"`
	Name  string `json:"name" xml:"name"`
	Class string `json:"class,omitempty" xml:"class,omitempty"`
}

// DumpType is a type of buckets.
type DumpType struct {
	ID   int32  `json:"type_id" xml:"type_id"`
	Name string `json:"name" xml:"name"`
}

// DumpBucket is a bucket, a shadow bucket as well.
type DumpBucket struct {
	ID       int32      `json:"id" xml:"id"`
	Name     string     `json:"name,omitempty" xml:"name,omitempty"`
	TypeID   uint16     `json:"type_id" xml:"type_id"`
	TypeName string     `json:"type_name,omitempty" xml:"type_name,omitempty"`
	Weight   Weight     `json:"weight" xml:"weight"`
	Alg      string     `json:"alg" xml:"alg"`
	Hash     string     `json:"hash" xml:"hash"`
	Items    []DumpItem `json:"items" xml:"items>item"`
}

// DumpItem is an item of a bucket.
type DumpItem struct {
	ID     int32  `json:"id" xml:"id"`
	Weight Weight `json:"weight" xml:"weight"`
	Pos    int    `json:"pos" xml:"pos"`
}

// DumpRule is a rule.
type DumpRule struct {
	ID      int        `json:"rule_id" xml:"rule_id"`
	Name    string     `json:"rule_name,omitempty" xml:"rule_name,omitempty"`
	Ruleset uint8      `json:"ruleset" xml:"ruleset"`
	Type    RuleType   `json:"type" xml:"type"`
	MinSize uint8      `json:"min_size" xml:"min_size"`
	MaxSize uint8      `json:"max_size" xml:"max_size"`
	Steps   []DumpStep `json:"steps" xml:"steps>step"`
}

// DumpStep is a step; which fields there are depends on Op. A step that has no
// name in dumps is given by number and arguments.
type DumpStep struct {
	Opcode   *Op     `json:"opcode,omitempty" xml:"opcode,omitempty"`
	Arg1     *int32  `json:"arg1,omitempty" xml:"arg1,omitempty"`
	Arg2     *int32  `json:"arg2,omitempty" xml:"arg2,omitempty"`
	Op       string  `json:"op,omitempty" xml:"op,omitempty"`
	Item     *int32  `json:"item,omitempty" xml:"item,omitempty"`
	ItemName *string `json:"item_name,omitempty" xml:"item_name,omitempty"`
	Num      *int32  `json:"num,omitempty" xml:"num,omitempty"`
	Type     string  `json:"type,omitempty" xml:"type,omitempty"`
}

// DumpTunables are the tunables and what they ask of clients.
type DumpTunables struct {
	LocalTries         uint32 `json:"choose_local_tries" xml:"choose_local_tries"`
	LocalFallbackTries uint32 `json:"choose_local_fallback_tries" xml:"choose_local_fallback_tries"`
	TotalTries         uint32 `json:"choose_total_tries" xml:"choose_total_tries"`
	DescendOnce        uint32 `json:"chooseleaf_descend_once" xml:"chooseleaf_descend_once"`
	VaryR              uint8  `json:"chooseleaf_vary_r" xml:"chooseleaf_vary_r"`
	Stable             uint8  `json:"chooseleaf_stable" xml:"chooseleaf_stable"`
	StrawVersion       uint8  `json:"straw_calc_version" xml:"straw_calc_version"`
	AllowedAlgs        uint32 `json:"allowed_bucket_algs" xml:"allowed_bucket_algs"`

	Profile        string `json:"profile" xml:"profile"`
	Optimal        int    `json:"optimal_tunables" xml:"optimal_tunables"`
	Legacy         int    `json:"legacy_tunables" xml:"legacy_tunables"`
	MinimumVersion string `json:"minimum_required_version" xml:"minimum_required_version"`
	NeedsTunables  int    `json:"require_feature_tunables" xml:"require_feature_tunables"`
	NeedsTunables2 int    `json:"require_feature_tunables2" xml:"require_feature_tunables2"`
	HasV2Rules     int    `json:"has_v2_rules" xml:"has_v2_rules"`
	NeedsTunables3 int    `json:"require_feature_tunables3" xml:"require_feature_tunables3"`
	HasV3Rules     int    `json:"has_v3_rules" xml:"has_v3_rules"`
	HasV4Buckets   int    `json:"has_v4_buckets" xml:"has_v4_buckets"`
	NeedsTunables5 int    `json:"require_feature_tunables5" xml:"require_feature_tunables5"`
	HasV5Rules     int    `json:"has_v5_rules" xml:"has_v5_rules"`
}

// DumpArgs are the choose_args sets in ascending order.
type DumpArgs []DumpSet

// DumpSet is one set: an object member, or element, that is called by its index.
type DumpSet struct {
	Index int64
	Args  []DumpArg
}

// DumpArg is what a set has for one bucket.
type DumpArg struct {
	Bucket    int32       `json:"bucket_id" xml:"bucket_id"`
	WeightSet [][]float64 `json:"weight_set,omitempty" xml:"-"`
	IDs       []int32     `json:"ids,omitempty" xml:"-"`
}

// JSON returns d as JSON.
func (d *Dump) JSON() ([]byte, error) { return json.Marshal(d) }

// XML returns d as XML, without a declaration, as Ceph writes it.
func (d *Dump) XML() ([]byte, error) { return xml.Marshal(d) }

// Dump returns m in the shape of a dump.
func (m *Map) Dump() (*Dump, error) {
	if err := m.Check(); err != nil {
		return nil, err
	}
	d := &Dump{Devices: []DumpDevice{}, Types: []DumpType{}, Buckets: []DumpBucket{}, Rules: []DumpRule{}, ChooseArgs: DumpArgs{}}
	for id := range m.MaxDevices {
		dev := DumpDevice{ID: id, Name: m.Names[id]}
		if dev.Name == "" {
			dev.Name = noName(id)
		}
		if c, ok := m.Classes[id]; ok {
			dev.Class = m.ClassNames[c]
		}
		d.Devices = append(d.Devices, dev)
	}
	for _, id := range slices.Sorted(maps.Keys(m.Types)) {
		d.Types = append(d.Types, DumpType{id, m.Types[id]})
	}
	for _, b := range m.Buckets {
		if b != nil {
			d.Buckets = append(d.Buckets, m.dumpBucket(b))
		}
	}
	for id, r := range m.Rules {
		if r != nil {
			d.Rules = append(d.Rules, m.dumpRule(id, r))
		}
	}
	d.Tunables = m.dumpTunables()
	for _, set := range slices.Sorted(maps.Keys(m.ChooseArgs)) {
		d.ChooseArgs = append(d.ChooseArgs, m.dumpSet(set))
	}
	return d, nil
}

// noName is what a dump calls a device without a name.
func noName(id int32) string { return "device" + strconv.Itoa(int(id)) }

const hashName = "rjenkins1"

func (m *Map) dumpBucket(b *Bucket) DumpBucket {
	out := DumpBucket{
		ID: b.ID, Name: m.Names[b.ID], TypeID: b.Type, TypeName: m.Types[int32(b.Type)],
		Weight: b.Weight, Alg: b.Alg.String(), Hash: hashName, Items: []DumpItem{},
	}
	for i, item := range b.Items {
		out.Items = append(out.Items, DumpItem{item, b.ItemWeight(i), i})
	}
	return out
}

func (m *Map) dumpRule(id int, r *Rule) DumpRule {
	out := DumpRule{ID: id, Name: m.RuleNames[int32(id)], Ruleset: r.Ruleset, Type: r.Type, MinSize: r.MinSize, MaxSize: r.MaxSize, Steps: []DumpStep{}}
	for _, s := range r.Steps {
		step := DumpStep{Op: opNames[s.Op]}
		switch {
		case s.Op == Take:
			name := m.Names[s.Arg1]
			step.Item, step.ItemName = &s.Arg1, &name
		case s.Op.chooses():
			step.Num, step.Type = &s.Arg1, m.Types[s.Arg2]
		case s.Op == SetChooseTries || s.Op == SetChooseLeafTries:
			step.Num = &s.Arg1
		case s.Op == Noop || s.Op == Emit:
		default:
			step = DumpStep{Opcode: &s.Op, Arg1: &s.Arg1, Arg2: &s.Arg2}
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

func (m *Map) dumpTunables() DumpTunables {
	t := m.Tunables
	d := DumpTunables{
		LocalTries: t.LocalTries, LocalFallbackTries: t.LocalFallbackTries, TotalTries: t.TotalTries, DescendOnce: t.DescendOnce,
		VaryR: t.VaryR, Stable: t.Stable, StrawVersion: t.StrawVersion, AllowedAlgs: t.AllowedAlgs, Profile: t.Profile(),
	}
	legacy := LegacyTunables()
	uses := func(ops ...Op) int {
		return bit(slices.ContainsFunc(m.Rules, func(r *Rule) bool {
			return r != nil && slices.ContainsFunc(r.Steps, func(s Step) bool { return slices.Contains(ops, s.Op) })
		}))
	}
	d.Optimal, d.Legacy = bit(d.Profile == "jewel"), bit(d.Profile == "argonaut")
	d.NeedsTunables = bit(t.LocalTries != legacy.LocalTries || t.LocalFallbackTries != legacy.LocalFallbackTries || t.TotalTries != legacy.TotalTries)
	d.NeedsTunables2, d.NeedsTunables3, d.NeedsTunables5 = bit(t.DescendOnce != 0), bit(t.VaryR != 0), bit(t.Stable != 0)
	d.HasV2Rules = uses(ChooseIndep, ChooseLeafIndep, SetChooseTries, SetChooseLeafTries)
	d.HasV3Rules, d.HasV5Rules = uses(SetChooseLeafVaryR), uses(SetChooseLeafStable)
	d.HasV4Buckets = bit(slices.ContainsFunc(m.Buckets, func(b *Bucket) bool { return b != nil && b.Alg == Straw2 }))
	d.MinimumVersion = "argonaut"
	for _, need := range []struct {
		is      int
		version string
	}{
		{d.HasV5Rules | d.NeedsTunables5, "jewel"}, {d.HasV4Buckets, "hammer"},
		{d.NeedsTunables3, "firefly"}, {d.NeedsTunables2 | d.NeedsTunables, "bobtail"},
	} {
		if need.is != 0 {
			d.MinimumVersion = need.version
			break
		}
	}
	return d
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func (m *Map) dumpSet(set int64) DumpSet {
	out := DumpSet{Index: set, Args: []DumpArg{}}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(m.ChooseArgs[set]))) {
		a := m.ChooseArgs[set][id]
		arg := DumpArg{Bucket: id, IDs: a.IDs}
		for _, weights := range a.WeightSet {
			row := []float64{}
			for _, w := range weights {
				row = append(row, float64(w)/float64(One))
			}
			arg.WeightSet = append(arg.WeightSet, row)
		}
		out.Args = append(out.Args, arg)
	}
	return out
}

// MarshalJSON writes an object whose members are called by the indices.
func (a DumpArgs) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, set := range a {
		if i > 0 {
			b.WriteByte(',')
		}
		p, err := json.Marshal(set.Args)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, `"%d":%s`, set.Index, p)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
