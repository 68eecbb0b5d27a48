package osdmap

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/golden"
)

// cluster is a map and where the real tools say its PGs and objects are.
type cluster struct {
	Name    string
	Map     []byte `json:"map_b64"`
	PGs     []string
	Objects []struct {
		Pool             ceph.PoolID
		Name, PG, Acting string
	}
}

func list(osds []int32, primary int32) string {
	return fmt.Sprintf("(%s, p%d)", crush.AppendDevices(nil, osds), primary)
}

// TestClusters: every PG and object of every captured cluster.
func TestClusters(t *testing.T) {
	pgs, objects := 0, 0
	for _, file := range golden.Files(t, "placement/*.json.gz") {
		p, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		z, err := gzip.NewReader(bytes.NewReader(p))
		if err != nil {
			t.Fatal(err)
		}
		if p, err = io.ReadAll(z); err != nil {
			t.Fatal(err)
		}
		var c cluster
		if err := json.Unmarshal(p, &c); err != nil {
			t.Fatal(err)
		}
		m, err := Decode(c.Map)
		if err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		placer, err := NewPlacer(m)
		if err != nil {
			t.Fatal(err)
		}
		var w Work
		for _, line := range c.PGs {
			pgs++
			name, _, _ := strings.Cut(line, " ")
			pg, err := ceph.ParsePG(name)
			if err != nil {
				t.Fatal(err)
			}
			pool := m.Pools[pg.Pool]
			raw := slices.Clone(placer.raw(&w, pool, pg.Pool, pool.input(pg.Seed, pg.Pool)))
			r, err := placer.Place(&w, pg)
			got := fmt.Sprintf("%s raw %s up %s acting %s", name, list(raw, first(raw)), list(r.Up, r.UpPrimary), list(r.Acting, r.ActingPrimary))
			if err != nil || got != line {
				t.Fatalf("%s: %v\n got %s\nwant %s", c.Name, err, got, line)
			}
		}
		for _, o := range c.Objects {
			objects++
			pg, _, err := m.Object(o.Name, ceph.Locator{Pool: o.Pool, Hash: -1})
			if err != nil {
				t.Fatal(err)
			}
			r, err := placer.Place(&w, pg)
			if got := string(crush.AppendDevices(nil, r.Acting)); err != nil || pg.String() != o.PG || got != o.Acting {
				t.Fatalf("%s: %s of pool %d: %s %s, want %s %s: %v", c.Name, o.Name, o.Pool, pg, got, o.PG, o.Acting, err)
			}
		}
	}
	if pgs+objects < 4000 {
		t.Errorf("%d PGs and %d objects compared", pgs, objects)
	}
}

// TestNamespaces: what "ceph osd map" of the real cluster said.
func TestNamespaces(t *testing.T) {
	var v struct {
		Map   []byte `json:"map_b64"`
		Cases []struct {
			Pool          ceph.PoolID `json:"pool_id"`
			Name          string      `json:"objname"`
			Raw           string      `json:"raw_pgid"`
			PG            string      `json:"pgid"`
			Up, Acting    []int32
			UpPrimary     int32 `json:"up_primary"`
			ActingPrimary int32 `json:"acting_primary"`
		}
	}
	p, err := os.ReadFile(golden.Files(t, "placement/osd-map-namespaces.json")[0])
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(p, &v); err != nil {
		t.Fatal(err)
	}
	m, err := Decode(v.Map)
	if err != nil {
		t.Fatal(err)
	}
	placer, err := NewPlacer(m)
	if err != nil {
		t.Fatal(err)
	}
	var w Work
	for _, c := range v.Cases {
		at := ceph.Locator{Pool: c.Pool, Hash: -1}
		name := c.Name
		if namespace, rest, ok := strings.Cut(name, "/"); ok {
			at.Namespace, name = namespace, rest
		}
		pg, hash, err := m.Object(name, at)
		if err != nil {
			t.Fatal(err)
		}
		r, err := placer.Place(&w, pg)
		if raw := (ceph.PG{Pool: c.Pool, Seed: hash}).String(); err != nil || raw != c.Raw || pg.String() != c.PG ||
			!slices.Equal(r.Up, c.Up) || !slices.Equal(r.Acting, c.Acting) || r.UpPrimary != c.UpPrimary || r.ActingPrimary != c.ActingPrimary {
			t.Errorf("%q: %s in %s, %+v; want %+v: %v", c.Name, raw, pg, r, c, err)
		}
	}
	if len(v.Cases) != 48 {
		t.Errorf("%d cases", len(v.Cases))
	}
	if _, err := placer.Place(&w, ceph.PG{Pool: 999}); !errors.Is(err, ErrNoPool) {
		t.Errorf("no pool: %v", err)
	}
	if _, _, err := m.Object("x", ceph.Locator{Pool: 999}); !errors.Is(err, ErrNoPool) {
		t.Errorf("no pool: %v", err)
	}
}
