package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

// authChecks: caps that do not parse grant nothing, and nobody would know why.
func authChecks(st *State) (list []check) {
	var bad []string
	for _, n := range slices.SortedFunc(maps.Keys(st.Entities), ceph.EntityName.Compare) {
		caps := st.Entities[n].Caps
		if s, ok := caps[ceph.TypeMon]; ok {
			if _, err := cephx.ParseMonCaps(s); err != nil {
				bad = append(bad, fmt.Sprintf("%v mon %v", n, err))
			}
		}
		if s, ok := caps[ceph.TypeOSD]; ok {
			if _, err := cephx.ParseOSDCaps(s); err != nil {
				bad = append(bad, fmt.Sprintf("%v osd %v", n, err))
			}
		}
	}
	if len(bad) > 0 {
		list = append(list, check{Code: "AUTH_BAD_CAPS", Severity: healthErr, Summary: fmt.Sprintf("%d auth entities have invalid capabilities", len(bad)), Count: len(bad), Detail: bad})
	}
	return list
}

// where is an OSD's place in the tree, from the root on: root=default,host=a.
func (p *places) where(id int32) string {
	var out []string
	for b := p.parent[id]; b != nil; b = p.parent[b.ID] {
		out = append(out, b.TypeName+"="+b.Name)
	}
	slices.Reverse(out)
	return strings.Join(out, ",")
}

// osdChecks are those of OSDs that are down, full, or flagged.
func (m *Monitor) osdChecks(st *State, sum *summary) (list []check) {
	om := st.OSD
	p, err := newPlaces(om)
	if err != nil {
		return []check{{Code: "CRUSH_MAP", Severity: healthErr, Summary: err.Error(), Count: 1}}
	}
	total := 0
	down := map[int32]bool{}
	var gone []string
	for osd := range om.MaxOSD {
		if !om.Exists(osd) {
			continue
		}
		total++
		if !om.IsUp(osd) && om.Weights[osd] > 0 && om.States[osd]&osdmap.Destroyed == 0 {
			down[osd] = true
			gone = append(gone, fmt.Sprintf("osd.%d (%s) is down", osd, p.where(osd)))
		}
	}
	add := func(code, severity, text string, detail []string) {
		if len(detail) > 0 {
			list = append(list, check{Code: code, Severity: severity, Summary: fmt.Sprintf("%d %s", len(detail), text), Count: len(detail), Detail: detail})
		}
	}
	add("OSD_DOWN", healthWarn, "osds down", gone)
	for typ, names := range p.wholly(down) {
		add("OSD_"+strings.ToUpper(typ)+"_DOWN", healthWarn, fmt.Sprintf("%s (%d osds) down", typ, len(down)), names)
	}
	var orphans []string
	for id := range p.parent {
		if id >= 0 && !om.Exists(id) {
			orphans = append(orphans, fmt.Sprintf("osd.%d exists in crush map but not in osdmap", id))
		}
	}
	slices.Sort(orphans)
	add("OSD_ORPHAN", healthWarn, "osds exist in the crush map but not in the osdmap", orphans)
	if size, _ := m.defaultSize(); total < int(size) && m.cfg.Options.Bool("mon_warn_on_too_few_osds") {
		want := int(size)
		list = append(list, check{Code: "TOO_FEW_OSDS", Severity: healthWarn, Summary: fmt.Sprintf("OSD count %d < osd_pool_default_size %d", total, want), Count: want - total})
	}
	return append(list, flagChecks(om, p)...)
}

// flagChecks are those of flags that operators set and forget.
func flagChecks(m *osdmap.Map, p *places) (list []check) {
	var set []string
	for _, f := range flagNames {
		if f.bit&^osdmap.FlagsOfEveryCluster != 0 && f.name != "pause" && m.Flags&f.bit == f.bit {
			set = append(set, f.name)
		}
	}
	if len(set) > 0 {
		list = append(list, check{Code: "OSDMAP_FLAGS", Severity: healthWarn, Summary: strings.Join(set, ",") + " flag(s) set", Count: len(set)})
	}
	var flagged []string
	seen := map[string]bool{}
	say := func(name string, s osdmap.State) {
		var f []string
		for _, g := range groupFlags {
			if s&g.bit != 0 {
				f = append(f, g.name)
				seen[strings.ToUpper(g.name)] = true
			}
		}
		if len(f) > 0 {
			flagged = append(flagged, name+" has flags "+strings.Join(f, ","))
		}
	}
	for osd := range m.MaxOSD {
		if m.Exists(osd) {
			say(fmt.Sprintf("osd.%d", osd), m.States[osd])
		}
	}
	for _, id := range slices.Sorted(maps.Keys(m.NodeFlags)) {
		say(p.m.Names[id], m.NodeFlags[id])
	}
	for _, id := range slices.Sorted(maps.Keys(m.ClassFlags)) {
		say("device class '"+p.m.ClassNames[id]+"'", m.ClassFlags[id])
	}
	if len(flagged) > 0 {
		list = append(list, check{Code: "OSD_FLAGS", Severity: healthWarn, Count: len(flagged), Detail: flagged,
			Summary: fmt.Sprintf("%d OSDs or CRUSH {nodes, device-classes} have {%s} flags set", len(flagged), strings.Join(slices.Sorted(maps.Keys(seen)), ","))})
	}
	return list
}

// crushChecks are those of a CRUSH map that old clients needed.
func crushChecks(m *osdmap.Map) (list []check) {
	c, err := crush.Decode(m.Crush)
	if err != nil {
		return nil // osdChecks says so
	}
	d, err := c.Dump()
	if err != nil {
		return nil
	}
	switch v := d.Tunables.MinimumVersion; v {
	case "hammer", "jewel":
	default:
		list = append(list, check{Code: "OLD_CRUSH_TUNABLES", Severity: healthWarn, Summary: fmt.Sprintf("crush map has legacy tunables (require %s, min is hammer)", v), Count: 1,
			Detail: []string{"see `ceph osd crush tunables`"}})
	}
	if d.Tunables.StrawVersion == 0 {
		list = append(list, check{Code: "OLD_CRUSH_STRAW_CALC_VERSION", Severity: healthWarn, Summary: "crush map has straw_calc_version=0", Count: 1})
	}
	return list
}
