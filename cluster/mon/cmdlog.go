package mon

import (
	"fmt"
	"strings"

	"ebofs/cluster/msg"
)

func init() {
	add("mon", "r", "log last [num:CephInt=1] [level:CephChoices=debug|info|sec|warn|error] [channel:CephChoices=*|cluster|audit|cephadm]",
		"show the last lines of the cluster's log", cmdLogLast)
	add("mon", "rw", "log logtext:CephString…", "write a line into the cluster's log", cmdLog)
}

func cmdLogLast(c *call) error {
	num, level, channel := int(c.num("num", 20)), msg.LogInfo, "cluster"
	if s, ok := c.str("level"); ok {
		level = levels[s]
	}
	if s, ok := c.str("channel"); ok {
		channel = s
	}
	var list []msg.LogEntry
	for _, l := range c.st.Log {
		if l.Priority >= level && (channel == "*" || l.Channel == channel) {
			list = append(list, l)
		}
	}
	list = list[max(0, len(list)-num):]
	type line struct {
		Name     string    `json:"name"`
		Rank     string    `json:"rank"`
		Addrs    addrsJSON `json:"addrs"`
		Stamp    string    `json:"stamp"`
		Seq      uint64    `json:"seq"`
		Channel  string    `json:"channel"`
		Priority string    `json:"priority"`
		Message  string    `json:"message"`
	}
	out := []line{}
	var b strings.Builder
	for _, l := range list {
		out = append(out, line{l.Name.String(), l.Rank.String(), newAddrs(l.Addrs), l.Stamp.String(), l.Seq, l.Channel, levelMark(l.Priority), l.Text})
		fmt.Fprintf(&b, "%s %s (%s) %d : %s %s %s\n", l.Stamp, l.Name, l.Rank, l.Seq, l.Channel, levelMark(l.Priority), l.Text)
	}
	return c.print(out, b.String)
}

func levelMark(p uint16) string {
	marks := []string{"[DBG]", "[INF]", "[SEC]", "[WRN]", "[ERR]"}
	if int(p) < len(marks) {
		return marks[p]
	}
	return "[???]"
}

func cmdLog(c *call) error {
	text := strings.Join(c.strs("logtext"), " ")
	return c.change(func(ch *Change) error {
		l := c.m.line(ch.Now, "cluster", msg.LogInfo, "%s", text)
		if c.s != nil { // else it is this monitor's own
			p := c.s.conn.Peer()
			l.Name, l.Rank, l.Addrs = p.Auth.Name, p.ID, p.Addrs
		}
		ch.Log(l)
		return nil
	})
}
