package mon

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// heardHealth takes what an OSD says of its health.
func (m *Monitor) heardHealth(osd int32, p *msg.MgrReport) {
	list, err := p.Metrics()
	if err != nil {
		m.log.Warn("report is malformed", "osd", osd, "err", err)
		return
	}
	for _, h := range list {
		if h.Kind == msg.HealthSlowOps {
			m.stats.setSlow(osd, h)
		}
	}
}

// setSlow notes the slow requests of an OSD.
func (s *stats) setSlow(osd int32, h msg.HealthMetric) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if h.Count == 0 {
		delete(s.mu.slow, osd)
		return
	}
	s.mu.slow[osd] = h
}

// slowOps returns the slow requests of OSDs that are up.
func (s *stats) slowOps(m *osdmap.Map) map[int32]msg.HealthMetric {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := maps.Clone(s.mu.slow)
	maps.DeleteFunc(out, func(osd int32, _ msg.HealthMetric) bool { return !m.IsUp(osd) })
	return out
}

// slowChecks are the health checks of requests that wait for too long.
func slowChecks(slow map[int32]msg.HealthMetric) []check {
	if len(slow) == 0 {
		return nil
	}
	n, oldest := 0, uint32(0)
	var names []string
	for _, osd := range slices.Sorted(maps.Keys(slow)) {
		n += int(slow[osd].Count)
		oldest = max(oldest, slow[osd].Second)
		names = append(names, fmt.Sprintf("osd.%d", osd))
	}
	who := names[0] + " has slow ops"
	if len(names) > 1 {
		who = "daemons [" + strings.Join(names, ",") + "] have slow ops."
	}
	slowOps := check{Code: "SLOW_OPS", Severity: healthWarn, Summary: fmt.Sprintf("%d slow ops, oldest one blocked for %d sec, %s", n, oldest, who), Count: n}
	return []check{slowOps}
}
