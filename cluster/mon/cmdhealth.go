package mon

import (
	"fmt"
	"strings"

	"ebofs/cluster/ceph"
)

func init() {
	add("mon", "r", "health [detail:CephChoices=detail]", "show cluster health", cmdHealth)
	add("mon", "w", "health mute code:CephString [ttl:CephString] [sticky:CephBool]", "hide a health check for a while, or while it is no worse", cmdMute)
	add("mon", "w", "health unmute [code:CephString]", "show health checks again", cmdUnmute)
}

// healthJSON is the health as status and health show it.
type healthJSON struct {
	Status string               `json:"status"`
	Checks map[string]checkJSON `json:"checks"`
	Mutes  []muteJSON           `json:"mutes"`
}

type checkJSON struct {
	Severity string      `json:"severity"`
	Summary  summaryJSON `json:"summary"`
	Detail   *[]textJSON `json:"detail,omitempty"`
	Muted    bool        `json:"muted"`
}

type summaryJSON struct {
	Message string `json:"message"`
	Count   int    `json:"count"`
}

type textJSON struct {
	Message string `json:"message"`
}

type muteJSON struct {
	Code    string `json:"code"`
	Until   string `json:"ttl,omitempty"`
	Sticky  bool   `json:"sticky"`
	Summary string `json:"summary"`
	Count   int    `json:"count"`
}

func newHealth(h health, detail bool) healthJSON {
	j := healthJSON{Status: h.Worst, Checks: map[string]checkJSON{}, Mutes: []muteJSON{}}
	for _, c := range h.Checks {
		x := checkJSON{Severity: c.Severity, Summary: summaryJSON{c.Summary, c.Count}, Muted: c.Muted}
		if detail {
			list := []textJSON{}
			for _, d := range c.Detail {
				list = append(list, textJSON{d})
			}
			x.Detail = &list
		}
		j.Checks[c.Code] = x
	}
	for _, m := range h.Mutes {
		x := muteJSON{Code: m.Code, Sticky: m.Sticky, Summary: m.Summary, Count: m.Count}
		if m.Until.Sec != 0 {
			x.Until = m.Until.String()
		}
		j.Mutes = append(j.Mutes, x)
	}
	return j
}

// line is the health in one line.
func (h health) line() string {
	var loud, muted []string
	for _, c := range h.Checks {
		if c.Muted {
			muted = append(muted, c.Code)
		} else {
			loud = append(loud, c.Summary)
		}
	}
	s := h.Worst
	if len(loud) > 0 {
		s += " " + strings.Join(loud, "; ")
	}
	if len(muted) > 0 {
		s += " (muted: " + strings.Join(muted, " ") + ")"
	}
	return s
}

func cmdHealth(c *call) error {
	h := c.m.health(c.st, c.m.stats.summary(c.st.OSD))
	_, detail := c.str("detail")
	return c.print(newHealth(h, detail), func() string {
		var b strings.Builder
		b.WriteString(h.line() + "\n")
		for _, x := range h.Checks {
			if !detail {
				break
			}
			mark := word(x.Severity == healthErr, "[ERR] ", "[WRN] ")
			if x.Muted {
				mark = "(MUTED) " + mark
			}
			fmt.Fprintf(&b, "%s%s: %s\n", mark, x.Code, x.Summary)
			for _, d := range x.Detail {
				fmt.Fprintf(&b, "    %s\n", d)
			}
		}
		return b.String()
	})
}

func cmdMute(c *call) error {
	code, _ := c.str("code")
	mu := mute{Code: code, Sticky: c.flag("sticky")}
	if s, ok := c.str("ttl"); ok {
		d, err := parseSpan(s)
		if err != nil {
			return fail(ceph.EINVAL, "not a valid duration: %s", s)
		}
		mu.Until = ceph.MakeTime(c.m.cfg.Now().Add(d))
	}
	if code == "" || strings.Contains(code, "/") {
		return fail(ceph.EINVAL, "%q is no code of a health alert", code)
	}
	if !mu.Sticky {
		found := false
		for _, x := range c.m.health(c.st, c.m.stats.summary(c.st.OSD)).Checks {
			if x.Code == code {
				found, mu.Summary, mu.Count = true, x.Summary, x.Count
			}
		}
		if !found {
			return fail(ceph.ENOENT, "health alert %s is not currently raised", code)
		}
	}
	return c.change(func(ch *Change) error {
		ch.Put(prefixMute+code, mu.encode())
		return nil
	})
}

func cmdUnmute(c *call) error {
	code, one := c.str("code")
	return c.change(func(ch *Change) error {
		for k := range ch.State.Mutes {
			if !one || k == code {
				ch.Delete(prefixMute + k)
			}
		}
		return nil
	})
}
