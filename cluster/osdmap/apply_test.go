package osdmap

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
)

// sample is a captured map with some of everything.
func sample(t testing.TB) *Map {
	t.Helper()
	list := steps(t)["epochs-182-262.jsonl.gz"]
	m, err := Decode(list[len(list)-1].Full)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestRefused: what cannot be applied is refused and changes nothing.
func TestRefused(t *testing.T) {
	m := sample(t)
	before := m.Encode()
	for name, c := range map[string]struct {
		edit func(*Incremental)
		want error
	}{
		"the same epoch":              {func(n *Incremental) { n.Epoch-- }, ErrEpoch},
		"an epoch too far":            {func(n *Incremental) { n.Epoch++ }, ErrEpoch},
		"another cluster":             {func(n *Incremental) { n.FSID[0]++ }, ErrEpoch},
		"another checksum":            {func(n *Incremental) { n.FullChecksum = 1 }, ErrChecksum},
		"an OSD beyond":               {func(n *Incremental) { n.Weights = map[int32]uint32{m.MaxOSD: 1} }, denc.ErrMalformed},
		"an OSD below 0":              {func(n *Incremental) { n.States = map[int32]State{-1: Up} }, denc.ErrMalformed},
		"too many OSDs":               {func(n *Incremental) { n.MaxOSD = 1 << 30 }, denc.ErrMalformed},
		"no number of OSDs":           {func(n *Incremental) { n.MaxOSD = -5 }, denc.ErrMalformed},
		"a map that is none":          {func(n *Incremental) { n.FullMap = []byte{1} }, denc.ErrMalformed},
		"a tree that is none":         {func(n *Incremental) { n.Crush = []byte{1} }, denc.ErrMalformed},
		"a full map of another epoch": {func(n *Incremental) { n.FullMap = before }, ErrEpoch},
	} {
		n := NewIncremental(m, ceph.Time{Sec: 7})
		c.edit(n)
		if err := m.Apply(n); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if !bytes.Equal(m.Encode(), before) {
			t.Fatalf("%s: the map is another", name)
		}
	}
}

// TestLives: an OSD comes, goes down, is taken out of the map, and leaves no trace.
func TestLives(t *testing.T) {
	m := sample(t)
	osd := m.MaxOSD
	step := func(edit func(*Incremental)) {
		t.Helper()
		n := NewIncremental(m, ceph.Time{Sec: uint32(m.Epoch)})
		edit(n)
		if err := m.Apply(n); err != nil {
			t.Fatal(err)
		}
	}
	step(func(n *Incremental) { n.MaxOSD = osd + 1 })
	if m.Exists(osd) || len(m.Weights) != int(osd)+1 || m.Affinity[osd] != DefaultAffinity {
		t.Fatalf("new slot: %v, %v", m.States, m.Affinity)
	}
	step(func(n *Incremental) {
		n.Weights = map[int32]uint32{osd: 0x10000}
		n.UpClient = map[int32]ceph.AddrVec{osd: m.Client[0]}
		n.UUIDs = map[int32]ceph.UUID{osd: {1}}
	})
	if !m.IsUp(osd) || m.Infos[osd].UpFrom != m.Epoch || m.UUIDs[osd] != (ceph.UUID{1}) {
		t.Fatalf("booted: %v %+v", m.State(osd), m.Infos[osd])
	}
	step(func(n *Incremental) { n.States = map[int32]State{osd: 0} }) // 0 means Up
	if m.IsUp(osd) || !m.Exists(osd) || m.Infos[osd].DownAt != m.Epoch || m.XInfos[osd].DownStamp != m.Modified {
		t.Fatalf("down: %v %+v", m.State(osd), m.Infos[osd])
	}
	step(func(n *Incremental) { n.States = map[int32]State{osd: Exists} })
	if m.State(osd) != 0 || m.Infos[osd] != (Info{}) || m.XInfos[osd] != (XInfo{}) || m.Client[osd] != nil || !m.UUIDs[osd].IsZero() {
		t.Fatalf("gone: %v %+v", m.State(osd), m.Infos[osd])
	}
	step(func(n *Incremental) { n.MaxOSD = osd })
	if len(m.Weights) != int(osd) {
		t.Fatal(len(m.Weights))
	}
}

// TestIntervals holds With and Without against a plain set.
func TestIntervals(t *testing.T) {
	var v Intervals
	set := map[uint64]bool{}
	seed := uint64(1)
	for range 2000 {
		seed = seed*6364136223846793005 + 1442695040888963407
		r := Interval{seed >> 33 % 60, 1 + seed>>50%7}
		add := seed>>60&1 == 0
		if add {
			v = v.With(Intervals{r})
		} else {
			v = v.Without(Intervals{r})
		}
		for i := range r.Length {
			set[r.Start+i] = add
		}
		var want Intervals
		for i := range uint64(70) {
			switch n := len(want); {
			case !set[i]:
			case n > 0 && want[n-1].Start+want[n-1].Length == i:
				want[n-1].Length++
			default:
				want = append(want, Interval{i, 1})
			}
		}
		if !slices.Equal(v, want) {
			t.Fatalf("%v, want %v", v, want)
		}
	}
}

// TestDamage: a map or increment with any byte changed is an error.
func TestDamage(t *testing.T) {
	list := steps(t)["epochs-182-262.jsonl.gz"]
	s := list[len(list)-1]
	for at := 0; at < len(s.Full); at += 7 {
		p := bytes.Clone(s.Full)
		p[at] ^= 0x40
		if _, err := Decode(p); err == nil {
			t.Fatalf("byte %d changed and not noticed", at)
		}
	}
	for at := range s.Inc {
		p := bytes.Clone(s.Inc)
		p[at] ^= 0x40
		if _, err := DecodeIncremental(p); err == nil {
			t.Fatalf("byte %d of the increment changed and not noticed", at)
		}
	}
}
