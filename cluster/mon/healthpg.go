package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
)

// shownPGs bounds the details of a check: the count says how many there are.
const shownPGs = 50

// pgChecks are those of PGs that do not serve, or lack copies, or are damaged.
func pgChecks(sum *summary, now time.Time) (list []check) {
	kinds := []struct {
		code, severity, what string
		states               []struct {
			name string
			is   func(msg.PGState) bool
		}
	}{
		{"PG_AVAILABILITY", healthWarn, "Reduced data availability: ", states(
			"inactive", func(s msg.PGState) bool { return s&(msg.PGActive|msg.PGStale) == 0 },
			"down", has(msg.PGDown), "incomplete", has(msg.PGIncomplete), "peering", has(msg.PGPeering), "stale", has(msg.PGStale))},
		{"PG_DEGRADED", healthWarn, "Degraded data redundancy: ", states("degraded", has(msg.PGDegraded), "undersized", has(msg.PGUndersized))},
		{"PG_DAMAGED", healthErr, "Possible data damage: ", states(
			"inconsistent", has(msg.PGInconsistent), "recovery_unfound", has(msg.PGRecoveryUnfound), "backfill_unfound", has(msg.PGBackfillUnfound), "snaptrim_error", has(msg.PGSnaptrimError))},
		{"PG_RECOVERY_FULL", healthErr, "Full OSDs blocking recovery: ", states("recovery_toofull", has(msg.PGRecoveryTooFull))},
		{"PG_BACKFILL_FULL", healthWarn, "Low space hindering backfill (add storage if this doesn't resolve itself): ", states("backfill_toofull", has(msg.PGBackfillTooFull))},
	}
	ids := slices.SortedFunc(maps.Keys(sum.PGs), ceph.PG.Compare)
	for _, k := range kinds {
		counts := map[string]int{}
		var detail []string
		n := 0
		for _, pg := range ids {
			st := sum.PGs[pg]
			bad := ""
			for _, s := range k.states {
				if s.is(st.State) {
					counts[s.name]++
					if bad == "" {
						bad = s.name
					}
				}
			}
			if bad == "" {
				continue
			}
			n++
			if k.severity == healthErr { // it is bad from the first moment
				detail = append(detail, fmt.Sprintf("pg %v is %s, acting %s", pg, stateName(st.State), osds(st.Acting)))
				continue
			}
			detail = append(detail, fmt.Sprintf("pg %v is stuck %s for %s, current state %s, last acting %s", pg, bad, since(st, bad, now), stateName(st.State), osds(st.Acting)))
		}
		if k.code == "PG_AVAILABILITY" && sum.Unknown > 0 {
			counts["inactive"] += sum.Unknown
			n += sum.Unknown
			detail = append(detail, plural(sum.Unknown, "pg")+" nobody has reported yet")
		}
		if k.code == "PG_DEGRADED" && sum.Sum.Degraded > 0 {
			n = max(n, 1)
		}
		if n == 0 {
			continue
		}
		var text []string
		if k.code == "PG_DEGRADED" && sum.Sum.Degraded > 0 {
			text = append(text, fmt.Sprintf("%d/%d objects degraded (%.3f%%)", sum.Sum.Degraded, sum.Sum.Copies, percent(sum.Sum.Degraded, sum.Sum.Copies)))
		}
		for _, s := range k.states {
			if c := counts[s.name]; c > 0 {
				text = append(text, plural(c, "pg")+" "+s.name)
			}
		}
		if more := len(detail) - shownPGs; more > 0 {
			detail = append(detail[:shownPGs], fmt.Sprintf("and %d more", more))
		}
		list = append(list, check{Code: k.code, Severity: k.severity, Summary: k.what + strings.Join(text, ", "), Count: n, Detail: detail})
	}
	return append(list, objectChecks(sum)...)
}

func percent(n, of int64) float64 {
	if of == 0 {
		return 0
	}
	return 100 * float64(n) / float64(of)
}

// objectChecks are those of objects, by their counts.
func objectChecks(sum *summary) (list []check) {
	s := &sum.Sum
	if n := s.Unfound; n > 0 {
		list = append(list, check{Code: "OBJECT_UNFOUND", Severity: healthWarn, Summary: fmt.Sprintf("%d/%d objects unfound (%.3f%%)", n, s.Objects, percent(n, s.Objects)), Count: int(n)})
	}
	if n := s.Misplaced; n > 0 {
		list = append(list, check{Code: "OBJECT_MISPLACED", Severity: healthWarn, Summary: fmt.Sprintf("%d/%d objects misplaced (%.3f%%)", n, s.Copies, percent(n, s.Copies)), Count: int(n)})
	}
	if n := s.LargeOmaps; n > 0 {
		list = append(list, check{Code: "LARGE_OMAP_OBJECTS", Severity: healthWarn, Summary: fmt.Sprintf("%d large omap objects", n), Count: int(n)})
	}
	return list
}

func has(bit msg.PGState) func(msg.PGState) bool {
	return func(s msg.PGState) bool { return s&bit != 0 }
}

// states pairs names with what they hold of.
func states(list ...any) (out []struct {
	name string
	is   func(msg.PGState) bool
}) {
	for i := 0; i < len(list); i += 2 {
		out = append(out, struct {
			name string
			is   func(msg.PGState) bool
		}{list[i].(string), list[i+1].(func(msg.PGState) bool)})
	}
	return out
}

// since is how long a PG has been so.
func since(st msg.PGStat, what string, now time.Time) string {
	t := st.LastActive
	switch what {
	case "stale":
		t = st.LastUnstale
	case "degraded":
		t = st.LastUndegraded
	case "undersized":
		t = st.LastFullsized
	case "unclean":
		t = st.LastClean
	}
	if t.IsZero() {
		return "ever"
	}
	return shortAge(now.Sub(t.Std()))
}

// osds writes a set of OSDs as Ceph does: [0,1].
func osds(list []int32) string {
	return strings.ReplaceAll(fmt.Sprint(list), " ", ",")
}

// poolChecks are those of pools.
func (m *Monitor) poolChecks(st *State, sum *summary) (list []check) {
	om := st.OSD
	var noApp, single, odd []string
	for _, id := range slices.Sorted(maps.Keys(om.Pools)) {
		p, name := om.Pools[id], om.PoolNames[id]
		if len(p.Applications) == 0 && sum.Pools[id].Objects > 0 {
			noApp = append(noApp, fmt.Sprintf("application not enabled on pool '%s'", name))
		}
		if p.Size == 1 {
			single = append(single, fmt.Sprintf("pool '%s' has no replicas configured", name))
		}
		if p.PGNum&(p.PGNum-1) != 0 {
			odd = append(odd, fmt.Sprintf("pool '%s' pg_num %d is not a power of two", name, p.PGNum))
		}
	}
	add := func(code, option, text string, detail []string) {
		if len(detail) > 0 && m.cfg.Options.Bool(option) {
			list = append(list, check{Code: code, Severity: healthWarn, Summary: fmt.Sprintf("%d pool(s) %s", len(detail), text), Count: len(detail), Detail: detail})
		}
	}
	if len(noApp) > 0 && m.cfg.Options.Bool("mon_warn_on_pool_no_app") {
		n := len(noApp)
		noApp = append(noApp, "use 'ceph osd pool application enable <pool-name> <app-name>', where <app-name> is 'cephfs', 'rbd', 'rgw', or freeform for custom applications.")
		list = append(list, check{Code: "POOL_APP_NOT_ENABLED", Severity: healthWarn, Summary: fmt.Sprintf("%d pool(s) do not have an application enabled", n), Count: n, Detail: noApp})
	}
	add("POOL_NO_REDUNDANCY", "mon_warn_on_pool_no_redundancy", "have no replicas configured", single)
	add("POOL_PG_NUM_NOT_POWER_OF_TWO", "mon_warn_on_pool_pg_num_not_power_of_two", "have non-power-of-two pg_num", odd)
	return list
}
