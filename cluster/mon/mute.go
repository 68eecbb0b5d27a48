package mon

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ebofs/cluster/ceph"
)

// mute is the wish not to hear of a health check.
type mute struct {
	Code    string
	Until   ceph.Time // zero: no end
	Sticky  bool      // stays when the check passes
	Summary string    // of the check when it was muted
	Count   int
}

func (m mute) encode() []byte {
	p, err := json.Marshal(m)
	if err != nil {
		return nil // cannot be: text and numbers
	}
	return p
}

// over reports whether a mute has ended: its time is up, or, unless it is sticky,
// its check has passed or has become worse than it was.
func (m mute) over(checks []check, now time.Time) bool {
	if m.Until.Sec != 0 && now.After(m.Until.Std()) {
		return true
	}
	i := slices.IndexFunc(checks, func(c check) bool { return c.Code == m.Code })
	return !m.Sticky && (i < 0 || checks[i].Count > m.Count)
}

// endMutes removes mutes that are over.
func (m *Monitor) endMutes(ctx context.Context) error {
	st := m.State()
	if len(st.Mutes) == 0 {
		return nil
	}
	h := m.health(st, m.stats.summary(st.OSD))
	_, err := m.change(ctx, func(c *Change) error {
		for code, mu := range c.State.Mutes {
			if mu.over(h.Checks, m.cfg.Now()) {
				c.Delete(prefixMute + code)
			}
		}
		return nil
	})
	return err
}

// sortedMutes returns them by code.
func (s *State) sortedMutes() (list []mute) {
	for _, code := range slices.Sorted(maps.Keys(s.Mutes)) {
		list = append(list, s.Mutes[code])
	}
	return list
}

// parseSpan reads a span of time as "1h", "2h30m", "1d", "1w" or a number of
// seconds.
func parseSpan(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 31); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	total := time.Duration(0)
	for rest := s; rest != ""; {
		i := strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })
		if i <= 0 {
			return 0, fmt.Errorf("%q is no span of time", s)
		}
		n, err := strconv.ParseUint(rest[:i], 10, 31)
		unit, ok := map[byte]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour, 'w': 7 * 24 * time.Hour, 'y': 365 * 24 * time.Hour}[rest[i]]
		if err != nil || !ok || n > uint64(100*365*24*time.Hour/unit) {
			return 0, fmt.Errorf("%q is no span of time", s)
		}
		total += time.Duration(n) * unit
		rest = rest[i+1:]
	}
	return total, nil
}
