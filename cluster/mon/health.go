package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// check is a health check that does not pass. Code is Ceph's where it has one.
type check struct {
	Code     string
	Severity string // HEALTH_WARN or HEALTH_ERR
	Summary  string
	Count    int
	Detail   []string
}

const (
	healthOK   = "HEALTH_OK"
	healthWarn = "HEALTH_WARN"
	healthErr  = "HEALTH_ERR"
)

// health returns the checks that do not pass, by code, and the worst severity.
func (m *Monitor) health(st *State, sum *summary) (string, []check) {
	var list []check
	list = append(list, osdChecks(st.OSD)...)
	list = append(list, fullChecks(st.OSD)...)
	list = append(list, scrubChecks(sum)...)
	list = append(list, pgChecks(st.OSD, sum)...)
	list = append(list, poolChecks(st.OSD, m.cfg.Options)...)
	slices.SortFunc(list, func(a, b check) int { return strings.Compare(a.Code, b.Code) })
	worst := healthOK
	for _, c := range list {
		if c.Severity == healthErr || worst == healthOK {
			worst = c.Severity
		}
	}
	return worst, list
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func osdChecks(m *osdmap.Map) (list []check) {
	total := 0
	var down []string
	for osd := range m.MaxOSD {
		if !m.Exists(osd) {
			continue
		}
		total++
		name := fmt.Sprintf("osd.%d", osd)
		if !m.IsUp(osd) && m.Weights[osd] > 0 {
			down = append(down, name+" is down")
		}
	}
	if total == 0 {
		return nil
	}
	if len(down) > 0 {
		list = append(list, check{"OSD_DOWN", healthWarn, plural(len(down), "osd") + " down", len(down), down})
	}
	var set []string
	for _, f := range flagNames {
		if f.bit&^(osdmap.FlagSortBitwise|osdmap.FlagRecoveryDeletes|osdmap.FlagPurgedSnapdirs|osdmap.FlagPGLogHardLimit) != 0 && m.Flags&f.bit == f.bit {
			set = append(set, f.name)
		}
	}
	if len(set) > 0 {
		list = append(list, check{"OSDMAP_FLAGS", healthWarn, strings.Join(set, ",") + " flag(s) set", len(set), nil})
	}
	return list
}

func pgChecks(m *osdmap.Map, sum *summary) (list []check) {
	var inactive, degraded, damaged []string
	for _, pg := range slices.SortedFunc(maps.Keys(sum.PGs), ceph.PG.Compare) {
		st := sum.PGs[pg]
		switch {
		case st.State&msg.PGActive == 0 || st.State&msg.PGStale != 0:
			inactive = append(inactive, fmt.Sprintf("pg %v is %s, acting %v", pg, stateName(st.State), st.Acting))
		case st.State&(msg.PGDegraded|msg.PGUndersized) != 0:
			degraded = append(degraded, fmt.Sprintf("pg %v is %s, acting %v", pg, stateName(st.State), st.Acting))
		}
		if st.State&msg.PGInconsistent != 0 {
			damaged = append(damaged, fmt.Sprintf("pg %v is %s, acting %v", pg, stateName(st.State), st.Acting))
		}
	}
	if n := len(inactive) + sum.Unknown; n > 0 {
		if sum.Unknown > 0 {
			inactive = append(inactive, plural(sum.Unknown, "pg")+" nobody has reported")
		}
		list = append(list, check{"PG_AVAILABILITY", healthWarn, "Reduced data availability: " + plural(n, "pg") + " inactive", n, inactive})
	}
	if len(degraded) > 0 {
		list = append(list, check{"PG_DEGRADED", healthWarn, "Degraded data redundancy: " + plural(len(degraded), "pg") + " undersized", len(degraded), degraded})
	}
	if len(damaged) > 0 {
		list = append(list, check{"PG_DAMAGED", healthErr, "Possible data damage: " + plural(len(damaged), "pg") + " inconsistent", len(damaged), damaged})
	}
	return list
}

func poolChecks(m *osdmap.Map, o *conf.Config) (list []check) {
	var noApp, single []string
	for _, id := range slices.Sorted(maps.Keys(m.Pools)) {
		p, name := m.Pools[id], m.PoolNames[id]
		if len(p.Applications) == 0 {
			noApp = append(noApp, fmt.Sprintf("application not enabled on pool '%s'", name))
		}
		if p.Size == 1 {
			single = append(single, fmt.Sprintf("pool '%s' has no replicas configured", name))
		}
	}
	if len(noApp) > 0 {
		noApp = append(noApp, "use 'ceph osd pool application enable <pool-name> <app-name>', where <app-name> is 'rbd', 'rgw', 'cephfs' or what your application is called")
		list = append(list, check{"POOL_APP_NOT_ENABLED", healthWarn, fmt.Sprintf("%d pool(s) do not have an application enabled", len(noApp)-1), len(noApp) - 1, noApp})
	}
	if len(single) > 0 && o.Bool("mon_warn_on_pool_no_redundancy") {
		list = append(list, check{"POOL_NO_REDUNDANCY", healthWarn, fmt.Sprintf("%d pool(s) have no replicas configured", len(single)), len(single), single})
	}
	return list
}

// stateName writes a state as Ceph does: active+clean.
func stateName(s msg.PGState) string { return s.String() }
