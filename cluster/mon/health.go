package mon

import (
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/msg"
)

// check is a health check that does not pass. Code is Ceph's where it has one.
type check struct {
	Code     string
	Severity string // HEALTH_WARN or HEALTH_ERR
	Summary  string
	Count    int
	Detail   []string
	Muted    bool
}

const (
	healthOK   = "HEALTH_OK"
	healthWarn = "HEALTH_WARN"
	healthErr  = "HEALTH_ERR"
)

// health is the checks that do not pass, by code, and the worst of those that are
// not muted.
type health struct {
	Worst  string
	Checks []check
	Mutes  []mute
}

func (m *Monitor) health(st *State, sum *summary) health {
	h := health{Worst: healthOK, Mutes: st.sortedMutes()}
	h.Checks = append(h.Checks, m.monChecks(st)...)
	h.Checks = append(h.Checks, authChecks(st)...)
	h.Checks = append(h.Checks, m.osdChecks(st, sum)...)
	h.Checks = append(h.Checks, fullChecks(st.OSD)...)
	h.Checks = append(h.Checks, scrubChecks(sum)...)
	h.Checks = append(h.Checks, slowChecks(m.stats.slowOps(st.OSD))...)
	h.Checks = append(h.Checks, crushChecks(st.OSD)...)
	h.Checks = append(h.Checks, pgChecks(sum, m.cfg.Now())...)
	h.Checks = append(h.Checks, m.poolChecks(st, sum)...)
	slices.SortFunc(h.Checks, func(a, b check) int { return strings.Compare(a.Code, b.Code) })
	for i := range h.Checks {
		c := &h.Checks[i]
		c.Muted = slices.ContainsFunc(h.Mutes, func(m mute) bool { return m.Code == c.Code })
		if !c.Muted && (c.Severity == healthErr || h.Worst == healthOK) {
			h.Worst = c.Severity
		}
	}
	return h
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// stateName writes a state as Ceph does: active+clean.
func stateName(s msg.PGState) string { return s.String() }
