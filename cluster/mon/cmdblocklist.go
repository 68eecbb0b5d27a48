package mon

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"ebofs/cluster/ceph"
)

func init() {
	add("osd", "r", "osd blocklist ls", "list the clients that are shut out", cmdBlocklistLs)
	add("osd", "rw", "osd blocklist blocklistop:CephChoices=add|rm addr:CephEntityAddr [expire:CephFloat=0.0]", "shut a client out for so many seconds (an hour), or let it in again", cmdBlocklist)
	add("osd", "rw", "osd blocklist clear", "let all clients in again", cmdBlocklistClear)
	old("osd", "r", "osd blacklist ls", "list the clients that are shut out", cmdBlocklistLs)
	old("osd", "rw", "osd blacklist blacklistop:CephChoices=add|rm addr:CephEntityAddr [expire:CephFloat=0.0]", "shut a client out for so many seconds (an hour), or let it in again", cmdBlocklist)
	old("osd", "rw", "osd blacklist clear", "let all clients in again", cmdBlocklistClear)
}

func cmdBlocklistLs(c *call) error {
	type entry struct {
		Addr  string `json:"addr"`
		Until string `json:"until"`
	}
	list := []entry{}
	for _, a := range slices.SortedFunc(maps.Keys(c.st.OSD.Blocklist), ceph.Addr.Compare) {
		list = append(list, entry{fmt.Sprintf("%v/%d", a.IP, a.Nonce), c.st.OSD.Blocklist[a].String()})
	}
	c.text = fmt.Sprintf("listed %d entries", len(list))
	return c.print(list, func() string {
		var b strings.Builder
		for _, e := range list {
			fmt.Fprintf(&b, "%s %s\n", e.Addr, e.Until)
		}
		return b.String()
	})
}

func cmdBlocklist(c *call) error {
	op, ok := c.str("blocklistop")
	if !ok {
		op, _ = c.str("blacklistop")
	}
	text, _ := c.str("addr")
	addr, err := ceph.ParseAddr(text)
	if err != nil {
		return fail(ceph.EINVAL, "%v", err)
	}
	if !strings.Contains(text, "v2:") && !strings.Contains(text, "v1:") {
		addr.Type = ceph.AddrAny
	}
	now, expire := c.m.cfg.Now(), c.float("expire", 3600)
	if expire > math.MaxUint32-float64(now.Unix()) {
		return fail(ceph.EINVAL, "expire: %g seconds from now is after 2106, the last year a map knows", expire)
	}
	until := ceph.MakeTime(now.Add(time.Duration(expire * float64(time.Second))))
	err = c.change(func(ch *Change) error {
		inc := ch.Inc()
		if op == "rm" {
			if _, ok := ch.State.OSD.Blocklist[addr]; !ok {
				ch.inc = nil
				c.text = text + " isn't blocklisted"
				return nil
			}
			c.text = "un-blocklisting " + text
			inc.OldBlocklist = []ceph.Addr{addr}
			return nil
		}
		inc.Blocklist = map[ceph.Addr]ceph.Time{addr: until}
		c.text = fmt.Sprintf("blocklisting %s until %v (%g sec)", text, until, expire)
		return nil
	})
	return err
}

func cmdBlocklistClear(c *call) error {
	c.text = " removed all blocklist entries"
	return c.change(func(ch *Change) error {
		if list := ch.State.OSD.Blocklist; len(list) > 0 {
			ch.Inc().OldBlocklist = slices.SortedFunc(maps.Keys(list), ceph.Addr.Compare)
		}
		return nil
	})
}
