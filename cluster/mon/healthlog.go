package mon

import (
	"context"
	"maps"
	"slices"

	"ebofs/cluster/msg"
)

// logHealth writes into the cluster's log which checks have begun to fail, say
// something else, or pass again. One monitor does, the first of those that serve.
func (m *Monitor) logHealth(ctx context.Context) error {
	st := m.State()
	h := m.health(st, m.stats.summary(st.OSD))
	now := map[string]string{}
	level := map[string]uint16{}
	for _, c := range h.Checks {
		now[c.Code], level[c.Code] = c.Summary, msg.LogWarn
		if c.Severity == healthErr {
			level[c.Code] = msg.LogError
		}
	}
	before := m.logged
	m.logged = now
	first := m.quorum(st)[0] == st.MonMap.Rank(m.cfg.Name)
	if !first || before == nil || maps.Equal(before, now) { // what was so when this monitor began is no news
		return nil
	}
	_, err := m.change(ctx, func(c *Change) error {
		for _, code := range slices.Sorted(maps.Keys(now)) {
			old, was := before[code]
			switch {
			case !was:
				c.Log(m.line(c.Now, "cluster", level[code], "Health check failed: %s (%s)", now[code], code))
			case old != now[code]:
				c.Log(m.line(c.Now, "cluster", level[code], "Health check update: %s (%s)", now[code], code))
			}
		}
		for _, code := range slices.Sorted(maps.Keys(before)) {
			if _, still := now[code]; !still {
				c.Log(m.line(c.Now, "cluster", msg.LogInfo, "Health check cleared: %s (was: %s)", code, before[code]))
			}
		}
		if len(before) > 0 && len(now) == 0 {
			c.Log(m.line(c.Now, "cluster", msg.LogInfo, "Cluster is now healthy"))
		}
		return nil
	})
	return err
}
