package crush

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"testing"
)

func TestLogDistance(t *testing.T) {
	// The largest draw is not quite 1, the smallest is 0; none is beyond, which
	// straw2 relies on, and the distance never grows by much with the draw.
	last := logDistance(0)
	if last != lnOne {
		t.Errorf("distance of 0: %x", last)
	}
	for u := range uint32(0x10000) {
		d := logDistance(u)
		if d > lnOne {
			t.Fatalf("distance of %x: %x", u, d)
		}
		want := lnOne - float64(1<<44)*math.Log2(float64(u+1))
		if math.Abs(float64(d)-want) > 1<<33 {
			t.Fatalf("distance of %x: %x, nominally %x", u, d, uint64(want))
		}
	}
}

// TestStraw2 compares the search that divides seldom with the definition.
func TestStraw2(t *testing.T) {
	weights := []Weight{0, 1, 2, 3, 77, One - 1, One, One + 1, 3 * One / 2, 100 * One, 1<<32 - 1, 0, One, One}
	ids := make([]int32, len(weights))
	for i := range ids {
		ids[i] = int32(i * 7)
	}
	for from := range weights {
		draws := prepareDraws(ids[from:], weights[from:])
		for x := range uint32(3000) {
			best, high := 0, int64(math.MinInt64)
			for i, d := range draws {
				draw := int64(math.MinInt64)
				if d.weight > 0 {
					draw = -int64(logDistance(Hash3(x, d.id, 5))) / int64(d.weight)
				}
				if i == 0 || draw > high {
					best, high = i, draw
				}
			}
			if got := straw2(draws, x, 5); got != best {
				t.Fatalf("from %d, x %d: %d, want %d", from, x, got, best)
			}
		}
	}
}

// TestPermuted: entry r is that of the shuffled list.
func TestPermuted(t *testing.T) {
	for size := 1; size < 20; size++ {
		n := node{id: -3, items: make([]int32, size)}
		for x := range uint32(50) {
			list := make([]int, size)
			for i := range list {
				list[i] = i
			}
			for p := range size - 1 {
				q := p + int(Hash3(x, uint32(0xfffffffd), uint32(p))%uint32(size-p))
				list[p], list[q] = list[q], list[p]
			}
			for r := range uint32(2 * size) {
				if got := n.permuted(x, r); got != list[int(r)%size] {
					t.Fatalf("size %d, x %d, r %d: %d, want %d", size, x, r, got, list[int(r)%size])
				}
			}
		}
	}
}

// testMap is a golden map ready to map with, all devices in.
func testMap(t testing.TB, index int) (*Map, *Mapper) {
	t.Helper()
	m := goldens(t)[index].decode(t)
	p, err := NewMapper(m)
	if err != nil {
		t.Fatal(err)
	}
	return m, p
}

// TestAllOut: with every device out a mapping ends short, long before it would
// have made all tries that a rule of the worst kind asks for.
func TestAllOut(t *testing.T) {
	m := build(t, 4, 4, 4)
	for _, r := range m.Rules {
		r.Steps = append([]Step{{Op: SetChooseTries, Arg1: math.MaxInt32}, {Op: SetChooseLeafTries, Arg1: math.MaxInt32}}, r.Steps...)
	}
	m.Tunables.LocalTries, m.Tunables.LocalFallbackTries = math.MaxUint32, math.MaxUint32
	p, err := NewMapper(m)
	if err != nil {
		t.Fatal(err)
	}
	var w Work
	for rule := range m.Rules {
		r := p.Map(&w, Request{Rule: rule, X: 1, Size: 6, Reweights: make([]Weight, m.MaxDevices)})
		if !r.Short || r.Cut == (rule == 2) { // the erasure rule sets tries of its own
			t.Errorf("rule %d: %+v", rule, r)
		}
		for _, d := range r.Devices {
			if d != None {
				t.Errorf("rule %d: %v, and all are out", rule, r.Devices)
			}
		}
	}
	// With usual tunables nothing is cut: every position has had its tries.
	m = build(t, 4, 4, 4)
	if p, err = NewMapper(m); err != nil {
		t.Fatal(err)
	}
	for rule := range m.Rules {
		r := p.Map(&w, Request{Rule: rule, X: 1, Size: 6, Reweights: make([]Weight, m.MaxDevices)})
		if !r.Short || r.Cut {
			t.Errorf("rule %d: %+v", rule, r)
		}
	}
}

// TestTooMany: a map that claims devices without end is refused before anything is
// made for each of them.
func TestTooMany(t *testing.T) {
	m := goldens(t)[0].decode(t)
	m.MaxDevices = math.MaxInt32
	if _, err := m.Encode(); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
	p := slices.Clone(goldens(t)[0].binary)
	p[12], p[13], p[14], p[15] = 0xff, 0xff, 0xff, 0x7f
	if _, err := Decode(p); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

// TestNothing: what cannot be mapped is empty and short.
func TestNothing(t *testing.T) {
	m, p := testMap(t, 7)
	var w Work
	for _, req := range []Request{{Rule: -1, Size: 3}, {Rule: 99, Size: 3}, {Rule: 0, Size: 3}} {
		if r := p.Map(&w, req); len(r.Devices) != 0 || !r.Short {
			t.Errorf("%+v: %+v", req, r)
		}
	}
	if r := p.Map(&w, Request{Reweights: m.InUse()}); len(r.Devices) != 0 || r.Short {
		t.Errorf("none wanted: %+v", r)
	}
}

// TestMapWith: for every device and rule either a placement of distinct devices
// that the rule could have made, with that device, or a reason.
func TestMapWith(t *testing.T) {
	m := build(t, 3, 3, 2)
	m.named(t, "h0-0").Weights[0] = 0 // osd.0 holds nothing
	p, err := NewMapper(m)
	if err != nil {
		t.Fatal(err)
	}
	in := m.InUse()
	in[5] = 0
	var w Work
	forced := 0
	for rule := range m.Rules {
		for device := int32(-1); device <= m.MaxDevices; device++ {
			for x := range uint32(20) {
				req := Request{Rule: rule, X: x, Size: 3, Reweights: in}
				natural := slices.Clone(p.Map(&w, req).Devices)
				r, err := p.MapWith(&w, req, device)
				possible := device >= 1 && device < m.MaxDevices && device != 5 && (rule != 1 || device%2 == 1)
				if !possible {
					if !errors.Is(err, ErrImpossible) {
						t.Fatalf("rule %d, device %d: %v, %v", rule, device, r, err)
					}
					continue
				}
				if err != nil || r.Short || len(r.Devices) != 3 || !slices.Contains(r.Devices, device) {
					t.Fatalf("rule %d, device %d, x %d: %+v, %v", rule, device, x, r, err)
				}
				if slices.Contains(natural, device) {
					if !slices.Equal(natural, r.Devices) {
						t.Fatalf("the usual placement %v has %d, and yet %v", natural, device, r.Devices)
					}
					continue
				}
				forced++
				seen := map[int32]bool{}
				for _, d := range r.Devices {
					domain := d / 2
					if rule == 2 {
						domain = d
					}
					if seen[domain] || in[d] == 0 || rule == 1 && d%2 == 0 {
						t.Fatalf("rule %d with %d: %v", rule, device, r.Devices)
					}
					seen[domain] = true
				}
			}
		}
	}
	if forced < 500 {
		t.Errorf("only %d placements were not the usual ones", forced)
	}
	// The force is gone afterwards.
	req := Request{Rule: 0, X: 3, Size: 3, Reweights: in}
	want := slices.Clone(p.Map(&w, req).Devices)
	_, _ = p.MapWith(&w, req, 11)
	if got := p.Map(&w, req).Devices; !slices.Equal(got, want) {
		t.Errorf("%v after a forced one, %v before", got, want)
	}
}

// TestMapWithSteps: a rule that chooses racks, then hosts, is led all the way.
func TestMapWithSteps(t *testing.T) {
	m, p := testMap(t, 7) // two racks, two hosts in each
	rule := -1
	for id, name := range m.RuleNames {
		if name == "two_racks_two_hosts" {
			rule = int(id)
		}
	}
	var w Work
	for device := range m.MaxDevices {
		r, err := p.MapWith(&w, Request{Rule: rule, X: 7, Size: 4, Reweights: m.InUse()}, device)
		if err != nil || len(r.Devices) != 4 || !slices.Contains(r.Devices, device) {
			t.Errorf("device %d: %v, %v", device, r, err)
		}
		slices.Sort(r.Devices)
		if len(slices.Compact(r.Devices)) != 4 {
			t.Errorf("device %d: %v", device, r.Devices)
		}
	}
}

// TestNoAllocation holds I3.
func TestNoAllocation(t *testing.T) {
	m, p := testMap(t, 21)
	var w Work
	in, args, x := m.InUse(), p.Args(1), uint32(0)
	for rule := range m.Rules {
		if n := testing.AllocsPerRun(100, func() {
			x++
			p.Map(&w, Request{Rule: rule, X: x, Size: 6, Reweights: in, Args: args})
		}); n != 0 {
			t.Errorf("rule %d: %v allocations", rule, n)
		}
	}
}

// TestHashes: vectors of the real functions.
func TestHashes(t *testing.T) {
	p, err := os.ReadFile("../testdata/placement/hash_vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var v struct {
		Names []struct{ Hex, Rjenkins, Linux string } `json:"str_hash"`
		Words []struct {
			Args []uint32
			Hash string
		} `json:"crush_hash"`
	}
	if err := json.Unmarshal(p, &v); err != nil || len(v.Names) < 10 {
		t.Fatalf("%d vectors: %v", len(v.Names), err)
	}
	word := func(sum uint32) string {
		return hex.EncodeToString([]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)})
	}
	for _, n := range v.Names {
		name, err := hex.DecodeString(n.Hex)
		if err != nil {
			t.Fatal(err)
		}
		a, ok1 := NameHashRjenkins.Sum(name)
		b, ok2 := NameHashLinux.Sum(name)
		if !ok1 || !ok2 || word(a) != n.Rjenkins || word(b) != n.Linux {
			t.Errorf("%q: %08x and %08x, want %s and %s", name, a, b, n.Rjenkins, n.Linux)
		}
	}
	several := map[int]int{}
	for _, c := range v.Words {
		var got uint32
		switch a := c.Args; len(a) {
		case 1:
			got = Hash1(a[0])
		case 2:
			got = Hash2(a[0], a[1])
		case 3:
			got = Hash3(a[0], a[1], a[2])
		case 4:
			got = Hash4(a[0], a[1], a[2], a[3])
		case 5:
			got = Hash5(a[0], a[1], a[2], a[3], a[4])
		}
		several[len(c.Args)]++
		if word(got) != c.Hash {
			t.Errorf("%v: %08x, want %s", c.Args, got, c.Hash)
		}
	}
	if len(several) != 5 {
		t.Errorf("vectors of %v words", several)
	}
	if _, ok := NameHash(3).Sum(nil); ok {
		t.Error("a hash that is none")
	}
}
