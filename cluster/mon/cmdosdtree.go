package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "r", "osd tree [epoch:CephInt=0] [states:CephChoices…=up|down|in|out|destroyed]", "print OSD tree", cmdOSDTree)
	add("osd", "r", "osd df [output_method:CephChoices=plain|tree]", "show OSD utilization", cmdOSDDf)
}

// treeNode is a bucket or an OSD as "ceph osd tree" shows it.
type treeNode struct {
	ID       int32    `json:"id"`
	Class    string   `json:"device_class,omitempty"`
	Name     string   `json:"name"`
	Type     string   `json:"type"`
	TypeID   int32    `json:"type_id"`
	Weight   *float64 `json:"crush_weight,omitempty"`
	Depth    int      `json:"depth"`
	Exists   *int     `json:"exists,omitempty"`
	Status   string   `json:"status,omitempty"`
	Reweight *float64 `json:"reweight,omitempty"`
	Affinity *float64 `json:"primary_affinity,omitempty"`
	Children []int32  `json:"children,omitempty"`
}

// tree returns the nodes of the CRUSH tree in the order in which they are shown,
// and OSDs that are in none.
func (c *call) tree(m *osdmap.Map) (nodes, stray []treeNode, err error) {
	cm, err := crush.Decode(m.Crush)
	if err != nil {
		return nil, nil, err
	}
	d, err := cm.Dump()
	if err != nil {
		return nil, nil, err
	}
	buckets := map[int32]*crush.DumpBucket{}
	inside, placed := map[int32]bool{}, map[int32]bool{}
	for i := range d.Buckets {
		b := &d.Buckets[i]
		if strings.Contains(b.Name, "~") {
			continue
		}
		buckets[b.ID] = b
		for _, it := range b.Items {
			inside[it.ID] = true
		}
	}
	class := map[int32]string{}
	for _, dev := range d.Devices {
		class[dev.ID] = dev.Class
	}
	osd := func(id int32, weight float64, depth int) treeNode {
		placed[id] = true
		n := treeNode{ID: id, Class: class[id], Name: fmt.Sprintf("osd.%d", id), Type: "osd", Depth: depth, Weight: &weight, Exists: new(int), Status: word(m.IsUp(id), "up", "down"), Reweight: new(float64), Affinity: new(float64)}
		if m.Exists(id) {
			*n.Exists = 1
			*n.Reweight = float64(m.Weights[id]) / float64(crush.One)
			*n.Affinity = 1
			if len(m.Affinity) > 0 {
				*n.Affinity = float64(m.Affinity[id]) / osdmap.DefaultAffinity
			}
		}
		return n
	}
	var walk func(id int32, weight float64, depth int)
	walk = func(id int32, weight float64, depth int) {
		if id >= 0 {
			nodes = append(nodes, osd(id, weight, depth))
			return
		}
		b := buckets[id]
		if b == nil {
			return
		}
		w := float64(b.Weight) / float64(crush.One)
		n := treeNode{ID: id, Name: b.Name, Type: b.TypeName, TypeID: int32(b.TypeID), Depth: depth, Weight: &w}
		for _, it := range slices.Backward(b.Items) {
			n.Children = append(n.Children, it.ID)
		}
		nodes = append(nodes, n)
		for _, it := range b.Items {
			walk(it.ID, float64(it.Weight)/float64(crush.One), depth+1)
		}
	}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(buckets))) {
		if !inside[id] {
			walk(id, 0, 0)
		}
	}
	for _, id := range c.ids(m) {
		if !placed[id] {
			stray = append(stray, osd(id, 0, 0))
		}
	}
	return nodes, stray, nil
}

func cmdOSDTree(c *call) error {
	m, _, err := c.at()
	if err != nil {
		return err
	}
	nodes, stray, err := c.tree(m)
	if err != nil {
		return err
	}
	if nodes == nil {
		nodes = []treeNode{}
	}
	if stray == nil {
		stray = []treeNode{}
	}
	return c.print(map[string]any{"nodes": nodes, "stray": stray}, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-4s %-5s  %-9s %-22s %-6s  %-8s  %s\n", "ID", "CLASS", "WEIGHT", "TYPE NAME", "STATUS", "REWEIGHT", "PRI-AFF")
		for _, n := range append(nodes, stray...) {
			name := strings.Repeat("    ", n.Depth) + n.Name
			if n.Type != "osd" {
				name = strings.Repeat("    ", n.Depth) + n.Type + " " + n.Name
			}
			fmt.Fprintf(&b, "%4d %5s  %9.5f %-22s", n.ID, n.Class, *n.Weight, name)
			if n.Type == "osd" {
				fmt.Fprintf(&b, " %6s  %8.5f  %7.5f", n.Status, *n.Reweight, *n.Affinity)
			}
			b.WriteByte('\n')
		}
		return b.String()
	})
}

func cmdOSDDf(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	type node struct {
		ID          int32   `json:"id"`
		Name        string  `json:"name"`
		Type        string  `json:"type"`
		Reweight    float64 `json:"reweight"`
		KB          int64   `json:"kb"`
		KBUsed      int64   `json:"kb_used"`
		KBData      int64   `json:"kb_used_data"`
		KBOmap      int64   `json:"kb_used_omap"`
		KBMeta      int64   `json:"kb_used_meta"`
		KBAvail     int64   `json:"kb_avail"`
		Utilization float64 `json:"utilization"`
		PGs         uint32  `json:"pgs"`
		Status      string  `json:"status"`
	}
	j := struct {
		Nodes   []node `json:"nodes"`
		Stray   []node `json:"stray"`
		Summary struct {
			KB      int64   `json:"total_kb"`
			KBUsed  int64   `json:"total_kb_used"`
			KBAvail int64   `json:"total_kb_avail"`
			Average float64 `json:"average_utilization"`
		} `json:"summary"`
	}{Nodes: []node{}, Stray: []node{}}
	for _, id := range c.ids(c.st.OSD) {
		s := sum.OSDs[id]
		n := node{ID: id, Name: fmt.Sprintf("osd.%d", id), Type: "osd", Reweight: float64(c.st.OSD.Weights[id]) / float64(crush.One), KB: s.KB, KBUsed: s.KBUsed, KBData: s.KBData, KBOmap: s.KBOmap, KBMeta: s.KBMeta, KBAvail: s.KBAvail, PGs: s.PGs, Status: word(c.st.OSD.IsUp(id), "up", "down")}
		if s.KB > 0 {
			n.Utilization = 100 * float64(s.KBUsed) / float64(s.KB)
		}
		j.Nodes = append(j.Nodes, n)
		j.Summary.KB += s.KB
		j.Summary.KBUsed += s.KBUsed
		j.Summary.KBAvail += s.KBAvail
	}
	if j.Summary.KB > 0 {
		j.Summary.Average = 100 * float64(j.Summary.KBUsed) / float64(j.Summary.KB)
	}
	return c.print(j, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "%-3s %-8s %9s %9s %9s %6s %4s %s\n", "ID", "REWEIGHT", "SIZE", "USE", "AVAIL", "%USE", "PGS", "STATUS")
		for _, n := range j.Nodes {
			fmt.Fprintf(&b, "%3d %8.5f %9s %9s %9s %6.2f %4d %6s\n", n.ID, n.Reweight, bytesText(n.KB*1024), bytesText(n.KBUsed*1024), bytesText(n.KBAvail*1024), n.Utilization, n.PGs, n.Status)
		}
		fmt.Fprintf(&b, "             %9s %9s %9s %6.2f TOTAL\n", bytesText(j.Summary.KB*1024), bytesText(j.Summary.KBUsed*1024), bytesText(j.Summary.KBAvail*1024), j.Summary.Average)
		return b.String()
	})
}
