package mon

import "fmt"

// Summary is one line about the cluster, for people.
func (m *Monitor) Summary() string {
	st := m.State()
	h := m.health(st, m.stats.summary(st.OSD))
	m.mu.Lock()
	sessions, failed := len(m.mu.sessions), m.mu.failed
	m.mu.Unlock()
	if failed != nil {
		return "failed: " + failed.Error()
	}
	text := fmt.Sprintf("%s, epoch %d, %d sessions", h.Worst, st.OSD.Epoch, sessions)
	for _, c := range h.Checks {
		text += ", " + c.Code
	}
	return text
}
