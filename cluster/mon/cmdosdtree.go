package mon

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "r", "osd tree [epoch:CephInt=0] [states:CephChoices…=up|down|in|out|destroyed]", "print OSD tree", func(c *call) error { return c.osdTree(false) })
	add("osd", "r", "osd tree-from [epoch:CephInt=0] bucket:CephString [states:CephChoices…=up|down|in|out|destroyed]", "print OSD tree in bucket", func(c *call) error { return c.osdTree(true) })
	add("osd", "r", "osd ls-tree [epoch:CephInt=0] name:CephString", "list the OSDs below a bucket", cmdLsTree)
	add("osd", "r", "osd crush tree [shadow:CephChoices=--show-shadow]", "show the CRUSH tree", cmdCrushTree)
}

// treeNode is a bucket or an OSD in a tree as JSON shows it. Weight and what
// follows is of OSDs alone.
type treeNode struct {
	ID       int32    `json:"id"`
	Class    string   `json:"device_class,omitempty"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	TypeID   int32    `json:"type_id"`
	Weight   *float64 `json:"crush_weight,omitempty"`
	Depth    *int     `json:"depth,omitempty"`
	PoolW    *empty   `json:"pool_weights,omitempty"` // of what lies in another
	Exists   *int     `json:"exists,omitempty"`
	Status   string   `json:"status,omitempty"`
	Reweight *float64 `json:"reweight,omitempty"`
	Affinity *float64 `json:"primary_affinity,omitempty"`
	*usageJSON
	Children *[]int32 `json:"children,omitempty"`

	depth  int
	weight float64
}

// typeName is the node as a tree of text has it.
func (n *treeNode) typeName() string {
	pad := strings.Repeat("    ", n.depth)
	if n.ID >= 0 {
		return pad + n.Name
	}
	return pad + n.Type + " " + n.Name
}

func (n *treeNode) idText() string {
	if n.ID >= 0 {
		return " " + fmt.Sprint(n.ID)
	}
	return fmt.Sprint(n.ID)
}

func weightText(f float64) string { return fmt.Sprintf("%.5f", f) }

// walk returns the nodes below the roots in the order in which trees are shown:
// parents first, devices by class.
func (p *places) walk(roots []int32) (nodes []treeNode) {
	var one func(id int32, depth int)
	one = func(id int32, depth int) {
		n := treeNode{ID: id, Name: p.name(id), Type: "osd", depth: depth, Class: p.class[id], weight: float64(p.weight[id]) / float64(crush.One)}
		if depth > 0 {
			n.PoolW = &empty{}
		}
		b := p.buckets[id]
		if b == nil {
			n.Weight, n.Depth = &n.weight, &n.depth
			n.PoolW = &empty{}
			nodes = append(nodes, n)
			return
		}
		n.Type, n.TypeID, n.weight = b.TypeName, int32(b.TypeID), float64(b.Weight)/float64(crush.One)
		items := slices.SortedStableFunc(slices.Values(b.Items), func(a, b crush.DumpItem) int {
			return cmp.Or(strings.Compare(p.class[a.ID], p.class[b.ID]), cmp.Compare(a.ID, b.ID))
		})
		children := []int32{}
		for _, it := range slices.Backward(items) {
			children = append(children, it.ID)
		}
		n.Children = &children
		nodes = append(nodes, n)
		for _, it := range items {
			one(it.ID, depth+1)
		}
	}
	for _, id := range roots {
		one(id, 0)
	}
	return nodes
}

// stray returns OSDs that are in no bucket.
func (p *places) stray(m *osdmap.Map) (nodes []treeNode) {
	for id := range m.MaxOSD {
		if m.Exists(id) && p.parent[id] == nil {
			n := treeNode{ID: id, Name: fmt.Sprintf("osd.%d", id), Type: "osd"}
			n.Weight, n.Depth = &n.weight, &n.depth
			nodes = append(nodes, n)
		}
	}
	return nodes
}

// show adds what the OSD map says of an OSD.
func (n *treeNode) show(m *osdmap.Map) {
	n.Exists, n.Reweight, n.Affinity = new(int), new(float64), new(float64)
	n.Status = "down"
	if !m.Exists(n.ID) {
		n.Status = "DNE"
		return
	}
	*n.Exists, *n.Affinity = 1, 1
	*n.Reweight = float64(m.Weights[n.ID]) / float64(crush.One)
	if len(m.Affinity) > 0 {
		*n.Affinity = float64(m.Affinity[n.ID]) / osdmap.DefaultAffinity
	}
	switch {
	case m.States[n.ID]&osdmap.Destroyed != 0:
		n.Status = "destroyed"
	case m.IsUp(n.ID):
		n.Status = "up"
	}
}

// inStates reports whether an OSD is in one of the states, all of each kind: up and
// down, in and out.
func inStates(m *osdmap.Map, id int32, states []string) bool {
	if len(states) == 0 {
		return true
	}
	destroyed := m.Exists(id) && m.States[id]&osdmap.Destroyed != 0
	is := map[string]bool{"up": m.IsUp(id), "down": !m.IsUp(id) && !destroyed, "in": m.Exists(id) && m.Weights[id] > 0, "out": m.Exists(id) && m.Weights[id] == 0, "destroyed": destroyed}
	for _, kind := range [][]string{{"up", "down", "destroyed"}, {"in", "out"}} {
		asked, ok := false, false
		for _, s := range kind {
			if slices.Contains(states, s) {
				asked, ok = true, ok || is[s]
			}
		}
		if asked && !ok {
			return false
		}
	}
	return true
}

// prune drops buckets that nothing is below any more.
func prune(nodes []treeNode) []treeNode {
	out := []treeNode{}
	for i, n := range nodes {
		if n.ID < 0 {
			used := false
			for _, below := range nodes[i+1:] {
				if below.depth <= n.depth {
					break
				}
				used = used || below.ID >= 0
			}
			if !used {
				continue
			}
		}
		out = append(out, n)
	}
	return out
}

func (c *call) osdTree(from bool) error {
	m, _, err := c.at()
	if err != nil {
		return err
	}
	p, err := newPlaces(m)
	if err != nil {
		return err
	}
	roots := p.roots()
	if from {
		name, _ := c.str("bucket")
		id, ok := p.find(name)
		if !ok || p.buckets[id] == nil {
			return fail(ceph.ENOENT, "bucket '%s' does not exist", name)
		}
		roots = []int32{id}
	}
	states := c.strs("states")
	filter := func(list []treeNode) (out []treeNode) {
		out = []treeNode{}
		for _, n := range list {
			if n.ID >= 0 && !inStates(m, n.ID, states) {
				continue
			}
			if n.ID >= 0 {
				n.show(m)
			}
			out = append(out, n)
		}
		return out
	}
	nodes := filter(p.walk(roots))
	if len(states) > 0 {
		nodes = prune(nodes)
	}
	stray := []treeNode{}
	j := map[string]any{"nodes": nodes}
	if !from {
		stray = filter(p.stray(m))
		j["stray"] = stray
	}
	return c.print(j, func() string {
		t := columns(left("ID"), under("CLASS", "WEIGHT"), left("TYPE NAME"), right("STATUS"), under("REWEIGHT", "PRI-AFF"))
		for _, n := range append(nodes, stray...) {
			if n.ID < 0 {
				t.row(n.idText(), "", weightText(n.weight), n.typeName(), "", "", "")
				continue
			}
			t.row(n.idText(), n.Class, weightText(n.weight), n.typeName(), n.Status, weightText(*n.Reweight), weightText(*n.Affinity))
		}
		return t.String()
	})
}

func cmdLsTree(c *call) error {
	m, _, err := c.at()
	if err != nil {
		return err
	}
	p, err := newPlaces(m)
	if err != nil {
		return err
	}
	name, _ := c.str("name")
	at, ok := p.find(name)
	if !ok {
		return fail(ceph.ENOENT, "\"%s\" does not exist", name)
	}
	ids := slices.Sorted(slices.Values(p.devices(at)))
	return c.print(list(ids), func() string {
		var b strings.Builder
		for _, id := range ids {
			fmt.Fprintln(&b, id)
		}
		return b.String()
	})
}

func cmdCrushTree(c *call) error {
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	nodes := p.walk(p.roots())
	if _, ok := c.str("shadow"); ok {
		all, err := allPlaces(c.st.OSD)
		if err != nil {
			return err
		}
		nodes = all.walk(all.roots())
	}
	return c.print(map[string]any{"nodes": list(nodes), "stray": []string{}}, func() string {
		t := columns(left("ID"), under("CLASS", "WEIGHT"), left("TYPE NAME"))
		for _, n := range nodes {
			t.row(n.idText(), n.Class, weightText(n.weight), n.typeName())
		}
		return t.String()
	})
}
