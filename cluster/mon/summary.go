package mon

import "fmt"

// Summary is one line about the cluster, for people.
func (m *Monitor) Summary() string {
	st := m.State()
	worst, checks := m.health(st, m.stats.summary(st.OSD))
	m.mu.Lock()
	sessions, failed := len(m.mu.sessions), m.mu.failed
	m.mu.Unlock()
	if failed != nil {
		return "failed: " + failed.Error()
	}
	text := fmt.Sprintf("%s, epoch %d, %d sessions", worst, st.OSD.Epoch, sessions)
	for _, c := range checks {
		text += ", " + c.Code
	}
	return text
}
