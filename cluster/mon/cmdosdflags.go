package mon

import (
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "rw", "osd set key:CephChoices="+flagChoices()+" [yes_i_really_mean_it:CephBool]", "set <key>", func(c *call) error { return c.flags(true) })
	add("osd", "rw", "osd unset key:CephChoices="+flagChoices(), "unset <key>", func(c *call) error { return c.flags(false) })
	add("osd", "rw", "osd pause", "pause osd", func(c *call) error {
		return c.setFlags("pauserd,pausewr", osdmap.FlagPauseRead|osdmap.FlagPauseWrite, true)
	})
	add("osd", "rw", "osd unpause", "unpause osd", func(c *call) error {
		return c.setFlags("pauserd,pausewr", osdmap.FlagPauseRead|osdmap.FlagPauseWrite, false)
	})
	add("osd", "rw", "osd set-group flags:CephString who:CephString…", "set noup, nodown, noin, noout of OSDs, buckets or classes", func(c *call) error { return c.group(true) })
	add("osd", "rw", "osd unset-group flags:CephString who:CephString…", "take back noup, nodown, noin, noout of OSDs, buckets or classes", func(c *call) error { return c.group(false) })
	for _, g := range groupFlags {
		old("osd", "rw", "osd add-"+g.name+" ids:CephString…", "set "+g.name+" of OSDs", func(c *call) error { return c.groupOf(g.bit, c.strs("ids"), true) })
		old("osd", "rw", "osd rm-"+g.name+" ids:CephString…", "take back "+g.name+" of OSDs", func(c *call) error { return c.groupOf(g.bit, c.strs("ids"), false) })
	}
}

// groupFlags are the flags that hold of single OSDs, or of all below a bucket or of
// a class.
var groupFlags = []struct {
	name string
	bit  osdmap.State
}{{"noup", osdmap.NoUp}, {"nodown", osdmap.NoDown}, {"noin", osdmap.NoIn}, {"noout", osdmap.NoOut}}

// group sets or takes back flags of OSDs, buckets and classes.
func (c *call) group(set bool) error {
	var bits osdmap.State
	text, _ := c.str("flags")
	for _, f := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == ' ' }) {
		i := slices.IndexFunc(groupFlags, func(g struct {
			name string
			bit  osdmap.State
		}) bool {
			return g.name == f
		})
		if i < 0 {
			return fail(ceph.EINVAL, "unrecognized flag '%s', must be one of {noup,nodown,noin,noout}", f)
		}
		bits |= groupFlags[i].bit
	}
	if bits == 0 {
		return fail(ceph.EINVAL, "must specify flag(s) {noup,nodwon,noin,noout} to set")
	}
	return c.groupOf(bits, c.strs("who"), set)
}

// groupOf changes what holds of each of who.
func (c *call) groupOf(bits osdmap.State, who []string, set bool) error {
	if slices.ContainsFunc(who, func(w string) bool { return w == "any" || w == "all" || w == "*" }) {
		who = osdNames(c.ids(c.st.OSD))
	}
	return c.change(func(ch *Change) error {
		m := ch.State.OSD
		p, err := newPlaces(m)
		if err != nil {
			return err
		}
		turn := func(now osdmap.State) osdmap.State {
			if set {
				return bits &^ now
			}
			return bits & now
		}
		for _, w := range who {
			if id, err := osdID(w); err == nil {
				if !m.Exists(id) {
					return fail(ceph.ENOENT, "osd.%d does not exist", id)
				}
				if t := turn(m.States[id]); t != 0 {
					ch.turn(id, t)
				}
				continue
			}
			if id, ok := p.find(w); ok {
				ch.Inc().NodeFlags = withBits(ch.Inc().NodeFlags, id, m.NodeFlags[id]^turn(m.NodeFlags[id]))
				continue
			}
			found := false
			for id, name := range p.m.ClassNames {
				if name == w {
					found = true
					ch.Inc().ClassFlags = withBits(ch.Inc().ClassFlags, id, m.ClassFlags[id]^turn(m.ClassFlags[id]))
				}
			}
			if !found {
				return fail(ceph.EINVAL, "unable to parse %s or no such osd, crush node or device class", w)
			}
		}
		return nil
	})
}

func osdNames(ids []int32) (names []string) {
	for _, id := range ids {
		names = append(names, fmt.Sprintf("osd.%d", id))
	}
	return names
}

func withBits(m map[int32]osdmap.State, id int32, s osdmap.State) map[int32]osdmap.State {
	if m == nil {
		m = map[int32]osdmap.State{}
	}
	m[id] = s
	return m
}

// turn turns over what holds of an OSD.
func (c *Change) turn(osd int32, bits osdmap.State) {
	inc := c.Inc()
	if inc.States == nil {
		inc.States = map[int32]osdmap.State{}
	}
	inc.States[osd] ^= bits
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
	for _, f := range flagNames {
		if f.name == name {
			if name == "pause" {
				name = "pauserd,pausewr"
			}
			return c.setFlags(name, f.bit, set)
		}
	}
	return fail(ceph.EINVAL, "unrecognized flag '%s'", name)
}

func (c *call) setFlags(name string, bit osdmap.Flags, set bool) error {
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
