package mon

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "rw", "osd set key:CephChoices="+flagChoices()+" [yes_i_really_mean_it:CephBool]", "set <key>", func(c *call) error { return c.flags(true) })
	add("osd", "rw", "osd unset key:CephChoices="+flagChoices(), "unset <key>", func(c *call) error { return c.flags(false) })
	add("osd", "r", "osd blocklist ls", "show blocklisted clients", cmdBlocklistLs)
	add("osd", "rw", "osd blocklist blocklistop:CephChoices=add|rm addr:CephEntityAddr [expire:CephFloat=0.0]", "add or remove a client from the blocklist", cmdBlocklist)
}

// flagNames are the flags operators set.
var flagNames = []struct {
	name string
	bit  osdmap.Flags
}{
	{"pauserd", osdmap.FlagPauseRead}, {"pausewr", osdmap.FlagPauseWrite}, {"pause", osdmap.FlagPauseRead | osdmap.FlagPauseWrite},
	{"noup", osdmap.FlagNoUp}, {"nodown", osdmap.FlagNoDown}, {"noout", osdmap.FlagNoOut}, {"noin", osdmap.FlagNoIn},
	{"nobackfill", osdmap.FlagNoBackfill}, {"norebalance", osdmap.FlagNoRebalance}, {"norecover", osdmap.FlagNoRecover},
	{"noscrub", osdmap.FlagNoScrub}, {"nodeep-scrub", osdmap.FlagNoDeepScrub}, {"notieragent", osdmap.FlagNoTierAgent},
	{"nosnaptrim", osdmap.FlagNoSnapTrim}, {"pglog_hardlimit", osdmap.FlagPGLogHardLimit},
}

func flagChoices() string {
	var all []string
	for _, f := range flagNames {
		all = append(all, f.name)
	}
	return strings.Join(all, "|")
}

func (c *call) flags(set bool) error {
	name, _ := c.str("key")
	var bit osdmap.Flags
	for _, f := range flagNames {
		if f.name == name {
			bit = f.bit
		}
	}
	err := c.change(func(ch *Change) error {
		now := ch.State.OSD.Flags
		next := now | bit
		if !set {
			next = now &^ bit
		}
		if next != now {
			ch.Inc().Flags = int32(next)
		}
		return nil
	})
	c.text = fmt.Sprintf("%s is %s", name, word(set, "set", "unset"))
	return err
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
	op, _ := c.str("blocklistop")
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
				return fail(ceph.ENOENT, "%s isn't blocklisted", text)
			}
			inc.OldBlocklist = []ceph.Addr{addr}
			return nil
		}
		inc.Blocklist = map[ceph.Addr]ceph.Time{addr: until}
		c.text = fmt.Sprintf("blocklisting %s until %v (%g sec)", text, until, expire)
		return nil
	})
	if op == "rm" {
		c.text = "un-blocklisting " + text
	}
	return err
}
