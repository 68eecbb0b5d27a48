package mon

import (
	"fmt"
	"math"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/msg"
)

func init() {
	add("osd", "r", "osd df [output_method:CephChoices=plain|tree] [filter_by:CephChoices=class|name] [filter:CephString]", "show OSD utilization", cmdOSDDf)
}

// usageJSON is how full an OSD is, or all below a bucket.
type usageJSON struct {
	KB          int64   `json:"kb"`
	KBUsed      int64   `json:"kb_used"`
	KBData      int64   `json:"kb_used_data"`
	KBOmap      int64   `json:"kb_used_omap"`
	KBMeta      int64   `json:"kb_used_meta"`
	KBAvail     int64   `json:"kb_avail"`
	Utilization float64 `json:"utilization"`
	Var         float64 `json:"var"` // of the average
	PGs         int     `json:"pgs"`
}

func (u *usageJSON) add(s *msg.OSDStat) {
	u.KB, u.KBUsed, u.KBData, u.KBOmap, u.KBMeta, u.KBAvail = u.KB+s.KB, u.KBUsed+s.KBUsed, u.KBData+s.KBData, u.KBOmap+s.KBOmap, u.KBMeta+s.KBMeta, u.KBAvail+s.KBAvail
	u.Utilization = percent(u.KBUsed, u.KB)
}

type dfSummary struct {
	KB      int64   `json:"total_kb"`
	KBUsed  int64   `json:"total_kb_used"`
	KBData  int64   `json:"total_kb_used_data"`
	KBOmap  int64   `json:"total_kb_used_omap"`
	KBMeta  int64   `json:"total_kb_used_meta"`
	KBAvail int64   `json:"total_kb_avail"`
	Average float64 `json:"average_utilization"`
	MinVar  float64 `json:"min_var"`
	MaxVar  float64 `json:"max_var"`
	Dev     float64 `json:"dev"`
}

// dfFilter reads which OSDs are to be shown: of a class, a pool, or below a bucket.
func (c *call) dfFilter(p *places) (func(int32) bool, error) {
	by, ok := c.str("filter_by")
	if !ok {
		return func(int32) bool { return true }, nil
	}
	what, _ := c.str("filter")
	if by == "class" {
		for _, class := range p.class {
			if class == what {
				return func(id int32) bool { return p.class[id] == what }, nil
			}
		}
		return nil, fail(ceph.EINVAL, "'%s' not a pool, crush node or device class name", what)
	}
	at, ok := p.find(what)
	if !ok {
		return nil, fail(ceph.EINVAL, "'%s' not a pool, crush node or device class name", what)
	}
	in := map[int32]bool{}
	for _, id := range p.devices(at) {
		in[id] = true
	}
	return func(id int32) bool { return in[id] }, nil
}

func cmdOSDDf(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	want, err := c.dfFilter(p)
	if err != nil {
		return err
	}
	pgs := map[int32]int{}
	for _, s := range sum.PGs {
		for _, id := range s.Acting {
			pgs[id]++
		}
	}
	var total usageJSON
	for _, id := range c.ids(c.st.OSD) {
		if s, ok := sum.OSDs[id]; ok && want(id) {
			total.add(&s)
		}
	}
	fill := func(nodes []treeNode) {
		for i := range nodes {
			n := &nodes[i]
			u, reweight := &usageJSON{}, -1.0 // of a bucket
			for _, id := range p.devices(n.ID) {
				if s, ok := sum.OSDs[id]; ok && want(id) {
					u.add(&s)
				}
			}
			if n.ID >= 0 {
				if c.st.OSD.Exists(n.ID) {
					reweight = float64(c.st.OSD.Weights[n.ID]) / float64(crush.One)
				} else {
					reweight = 0
				}
				u.PGs, n.Status = pgs[n.ID], word(c.st.OSD.IsUp(n.ID), "up", "down")
			}
			u.Var = 1
			if total.Utilization > 0 {
				u.Var = u.Utilization / total.Utilization
			}
			n.usageJSON, n.Reweight = u, &reweight
		}
	}
	method, _ := c.str("output_method")
	tree := method == "tree"
	_, filtered := c.str("filter_by")
	keep := func(all []treeNode) []treeNode {
		out := []treeNode{}
		for _, n := range all {
			if n.ID >= 0 && want(n.ID) || n.ID < 0 && tree && !filtered {
				out = append(out, n)
			}
		}
		return prune(out)
	}
	j := struct {
		Nodes   []treeNode `json:"nodes"`
		Stray   []treeNode `json:"stray"`
		Summary dfSummary  `json:"summary"`
	}{Nodes: keep(p.walk(p.roots())), Stray: keep(p.stray(c.st.OSD))}
	fill(j.Nodes)
	fill(j.Stray)
	j.Summary = summarise(&total, append(append([]treeNode{}, j.Nodes...), j.Stray...))
	return c.print(j, func() string { return dfTable(append(j.Nodes, j.Stray...), &j.Summary, tree) })
}

// summarise takes the spread of OSDs that hold something.
func summarise(total *usageJSON, nodes []treeNode) dfSummary {
	s := dfSummary{KB: total.KB, KBUsed: total.KBUsed, KBData: total.KBData, KBOmap: total.KBOmap, KBMeta: total.KBMeta, KBAvail: total.KBAvail, Average: total.Utilization}
	n, squares := 0.0, 0.0
	for _, x := range nodes {
		if x.ID < 0 || x.KB == 0 {
			continue
		}
		if n == 0 || x.Var < s.MinVar {
			s.MinVar = x.Var
		}
		s.MaxVar = max(s.MaxVar, x.Var)
		d := x.Utilization - s.Average
		squares += d * d
		n++
	}
	if n > 0 {
		s.Dev = math.Sqrt(squares / n)
	}
	return s
}

func dfTable(nodes []treeNode, s *dfSummary, tree bool) string {
	t := columns(left("ID"), under("CLASS", "WEIGHT", "REWEIGHT", "SIZE", "RAW USE", "DATA", "OMAP", "META", "AVAIL", "%USE", "VAR", "PGS", "STATUS"))
	if tree {
		t.columns = append(t.columns, left("TYPE NAME")...)
	}
	kb := func(n int64) string { return bytesText(n << 10) }
	for _, n := range nodes {
		row := []string{n.idText(), n.Class, weightText(n.weight), "-", kb(n.KB), kb(n.KBUsed), kb(n.KBData), kb(n.KBOmap), kb(n.KBMeta), kb(n.KBAvail),
			fmt.Sprintf("%.2f", n.Utilization), fmt.Sprintf("%.2f", n.Var), "-", ""}
		if n.ID >= 0 {
			row[3], row[12], row[13] = weightText(*n.Reweight), fmt.Sprint(n.PGs), n.Status
		}
		if tree {
			row = append(row, n.typeName())
		}
		t.row(row...)
	}
	t.row("", "", "", "TOTAL", kb(s.KB), kb(s.KBUsed), kb(s.KBData), kb(s.KBOmap), kb(s.KBMeta), kb(s.KBAvail), fmt.Sprintf("%.2f", s.Average))
	return t.String() + fmt.Sprintf("MIN/MAX VAR: %.2f/%.2f  STDDEV: %.2f\n", s.MinVar, s.MaxVar, s.Dev)
}
