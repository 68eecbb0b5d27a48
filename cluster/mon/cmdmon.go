package mon

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/denc"
	"ebofs/cluster/monmap"
	"ebofs/cluster/osdmap"
)

func init() {
	add("mon", "r", "mon stat", "summarize monitor status", cmdMonStat)
	add("mon", "r", "mon dump [epoch:CephInt=0]", "dump formatted monmap (optionally from epoch)", cmdMonDump)
	add("mon", "r", "mon getmap [epoch:CephInt=0]", "get monmap", cmdMonGetMap)
	add("mon", "r", "mon metadata [id:CephString]", "show what monitors say of themselves", cmdMonMetadata)
	add("mon", "r", "mon versions", "check running versions of monitors", func(c *call) error { return c.countMon("ceph_version") })
	add("mon", "r", "mon count-metadata property:CephString", "count monitors by what they say of themselves", func(c *call) error {
		s, _ := c.str("property")
		return c.countMon(s)
	})
	add("mon", "r", "mon feature ls [with_value:CephChoices=--with-value]", "list features of the map of the monitors", cmdMonFeatures)
	add("mon", "r", "mon ok-to-stop ids:CephString…", "say whether a quorum is left without these monitors", cmdMonOKToStop)
	add("mon", "r", "mon ok-to-add-offline", "say whether a quorum is left with one more monitor that does not run", cmdMonOKToAdd)
	add("mon", "r", "mon ok-to-rm id:CephString", "say whether a quorum is left when a monitor is removed", cmdMonOKToRm)
	add("mon", "r", "quorum_status", "report status of monitor quorum", cmdQuorum)
	add("mon", "r", "time-sync-status", "show time sync status", cmdTimeSync)
	add("mon", "rw", "mon add name:CephString addr:CephIPAddr", "add a monitor to the map", cmdMonAdd)
	add("mon", "rw", "mon rm name:CephString", "remove a monitor from the map", cmdMonRm)
	old("mon", "rw", "mon remove name:CephString", "remove a monitor from the map", cmdMonRm)
	add("mon", "rw", "mon set-weight name:CephString weight:CephInt=0|65535", "set how often clients choose a monitor", cmdMonWeight)
	add("mon", "rw", "mon set-addrs name:CephString addrs:CephString", "say where a monitor is", cmdMonAddrs)
	add("mon", "rw", "mon set-rank name:CephString rank:CephInt", "set the place of a monitor in the map", cmdMonRank)
}

type monJSON struct {
	Rank   int    `json:"rank"`
	Name   string `json:"name"`
	Public struct {
		Addrs []addrJSON `json:"addrvec"`
	} `json:"public_addrs"`
	Addr       string `json:"addr"`
	PublicAddr string `json:"public_addr"`
	Priority   uint16 `json:"priority"`
	Weight     uint16 `json:"weight"`
	Location   string `json:"crush_location"`
}

type addrJSON struct {
	Type  string `json:"type"`
	Addr  string `json:"addr"`
	Nonce uint32 `json:"nonce"`
}

// addrsJSON is a list of addresses.
type addrsJSON struct {
	Addrs []addrJSON `json:"addrvec"`
}

func newAddrs(v ceph.AddrVec) addrsJSON {
	j := addrsJSON{Addrs: []addrJSON{}}
	for _, a := range v {
		j.Addrs = append(j.Addrs, addrJSON{a.Type.String(), a.IP.String(), a.Nonce})
	}
	return j
}

type monMapJSON struct {
	Epoch      ceph.Epoch   `json:"epoch"`
	FSID       string       `json:"fsid"`
	Modified   string       `json:"modified"`
	Created    string       `json:"created"`
	Release    int          `json:"min_mon_release"`
	Name       string       `json:"min_mon_release_name"`
	Election   int          `json:"election_strategy"`
	Disallowed string       `json:"disallowed_leaders: "` // so it is spelled
	Stretch    bool         `json:"stretch_mode"`
	Tiebreaker string       `json:"tiebreaker_mon"`
	Removed    string       `json:"removed_ranks: "`
	Features   featuresJSON `json:"features"`
	Mons       []monJSON    `json:"mons"`
}

type featuresJSON struct {
	Persistent []string `json:"persistent"`
	Optional   []string `json:"optional"`
}

// monFeatures are the features of monitors, by bit.
var monFeatures = []string{"kraken", "luminous", "mimic", "osdmap-prune", "nautilus", "octopus", "pacific", "elector-pinging"}

func featureNames(mask uint64) []string {
	out := []string{}
	for i, n := range monFeatures {
		if mask&(1<<i) != 0 {
			out = append(out, n)
		}
	}
	return out
}

func newMonMap(st *State) monMapJSON {
	mm := st.MonMap
	j := monMapJSON{
		Epoch: mm.Epoch, FSID: mm.FSID.String(), Modified: utc(mm.LastChanged), Created: utc(mm.Created),
		Release: int(mm.MinRelease), Name: osdmap.ReleaseName(mm.MinRelease), Election: int(mm.Strategy), Stretch: mm.Stretch, Tiebreaker: mm.Tiebreaker,
		Features: featuresJSON{featureNames(mm.Persistent), featureNames(mm.Optional)},
	}
	for r := range mm.Ranks {
		m := mm.At(r)
		x := monJSON{Rank: r, Name: m.Name, Priority: m.Priority, Weight: m.Weight, Location: "{}"}
		x.Public.Addrs = newAddrs(m.Addrs).Addrs
		if a := m.Addrs.Msgr2(); !a.IsBlank() {
			x.Addr = fmt.Sprintf("%v/%d", a.IP, a.Nonce)
			x.PublicAddr = x.Addr
		}
		j.Mons = append(j.Mons, x)
	}
	return j
}

// utc writes a time as maps of monitors have it.
func utc(t ceph.Time) string { return strings.TrimSuffix(t.String(), "+0000") + "Z" }

// withQuorum is the map and who of it is there.
type withQuorum struct {
	monMapJSON
	Quorum []int `json:"quorum"`
}

func cmdMonDump(c *call) error {
	if e := c.num("epoch", 0); e != 0 && e != int64(c.st.MonMap.Epoch) {
		return fail(ceph.ENOENT, "there is no monmap of epoch %d: only the newest, %d, is kept", e, c.st.MonMap.Epoch)
	}
	j := withQuorum{newMonMap(c.st), c.m.quorum(c.st)}
	c.text = fmt.Sprintf("dumped monmap epoch %d", j.Epoch)
	return c.print(j, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "epoch %d\nfsid %s\nlast_changed %v\ncreated %v\nmin_mon_release %d (%s)\nelection_strategy: %d\n", j.Epoch, j.FSID, c.st.MonMap.LastChanged, c.st.MonMap.Created, j.Release, j.Name, j.Election)
		for r := range c.st.MonMap.Ranks {
			m := c.st.MonMap.At(r)
			fmt.Fprintf(&b, "%d: %v mon.%s\n", r, m.Addrs, m.Name)
		}
		return b.String()
	})
}

func cmdMonGetMap(c *call) error {
	if e := c.num("epoch", 0); e != 0 && e != int64(c.st.MonMap.Epoch) {
		return fail(ceph.ENOENT, "there is no monmap of epoch %d: only the newest, %d, is kept", e, c.st.MonMap.Epoch)
	}
	c.out, c.text = c.st.MonMapRaw, fmt.Sprintf("got monmap epoch %d", c.st.MonMap.Epoch)
	return nil
}

// names of ranks.
func (s *State) monNames(ranks []int) []string {
	out := []string{}
	for _, r := range ranks {
		out = append(out, s.MonMap.Ranks[r])
	}
	return out
}

func cmdMonStat(c *call) error {
	mm := c.st.MonMap
	type member struct {
		Rank int    `json:"rank"`
		Name string `json:"name"`
	}
	j := struct {
		Epoch   ceph.Epoch `json:"epoch"`
		Release string     `json:"min_mon_release_name"`
		Num     int        `json:"num_mons"`
		Leader  string     `json:"leader"`
		Quorum  []member   `json:"quorum"`
	}{mm.Epoch, osdmap.ReleaseName(mm.MinRelease), len(mm.Ranks), "", []member{}}
	ranks := c.m.quorum(c.st)
	var all, in []string
	for r := range mm.Ranks {
		all = append(all, fmt.Sprintf("%s=%v", mm.Ranks[r], mm.At(r).Addrs))
	}
	for _, r := range ranks {
		j.Quorum = append(j.Quorum, member{r, mm.Ranks[r]})
		in = append(in, fmt.Sprint(r))
	}
	j.Leader = mm.Ranks[ranks[0]]
	return c.print(j, func() string {
		return fmt.Sprintf("e%d: %d mons at {%s}, election epoch %d, leader %d %s, quorum %s %s\n", mm.Epoch, len(mm.Ranks), strings.Join(all, ","), mm.Epoch, ranks[0], j.Leader, strings.Join(in, ","), strings.Join(c.st.monNames(ranks), ","))
	})
}

// allFeatures are those of the protocol that this release speaks, as status shows
// them.
const allFeatures = 0x3f01cfbdfffdffff

func cmdQuorum(c *call) error {
	ranks := c.m.quorum(c.st)
	j := struct {
		Election int      `json:"election_epoch"`
		Quorum   []int    `json:"quorum"`
		Names    []string `json:"quorum_names"`
		Leader   string   `json:"quorum_leader_name"`
		Age      int      `json:"quorum_age"`
		Features struct {
			Con string   `json:"quorum_con"`
			Mon []string `json:"quorum_mon"`
		} `json:"features"`
		MonMap monMapJSON `json:"monmap"`
	}{Election: int(c.st.MonMap.Epoch), Quorum: ranks, Names: c.st.monNames(ranks), Leader: c.st.MonMap.Ranks[ranks[0]], Age: c.m.age(), MonMap: newMonMap(c.st)}
	j.Features.Con, j.Features.Mon = fmt.Sprint(uint64(allFeatures)), monFeatures
	return c.print(j, nil)
}

// age is for how many seconds the monitor has served.
func (m *Monitor) age() int { return int(m.cfg.Now().Sub(m.start).Seconds()) }

func cmdTimeSync(c *call) error {
	return c.print(map[string]any{"timechecks": map[string]any{"epoch": c.st.MonMap.Epoch, "round": 0, "round_status": "finished"}}, nil)
}

func cmdMonMetadata(c *call) error {
	if id, ok := c.str("id"); ok {
		if c.st.MonMap.Rank(id) < 0 {
			return fail(ceph.ENOENT, "mon.%s does not exist in monmap", id)
		}
		return c.print(c.st.MonMeta[id], nil)
	}
	list := []map[string]string{}
	for _, name := range c.st.MonMap.Ranks {
		m := maps.Clone(c.st.MonMeta[name])
		if m == nil {
			m = map[string]string{}
		}
		m["name"] = name
		list = append(list, m)
	}
	return c.print(list, nil)
}

// tally counts the values of a property.
func tally(property string, all []map[string]string) map[string]int {
	out := map[string]int{}
	for _, m := range all {
		v := m[property]
		if v == "" {
			v = "unknown"
		}
		out[v]++
	}
	return out
}

func (c *call) monMeta() (all []map[string]string) {
	for _, name := range c.st.MonMap.Ranks {
		all = append(all, c.st.MonMeta[name])
	}
	return all
}

func (c *call) countMon(property string) error { return c.print(tally(property, c.monMeta()), nil) }

func cmdMonFeatures(c *call) error {
	mm := c.st.MonMap
	type set struct {
		Supported  []string `json:"supported,omitempty"`
		Persistent []string `json:"persistent"`
	}
	type current struct {
		Persistent []string `json:"persistent"`
		Optional   []string `json:"optional"`
		Required   []string `json:"required"`
	}
	j := struct {
		All    set     `json:"all"`
		MonMap current `json:"monmap"`
	}{set{monFeatures, monFeatures}, current{featureNames(mm.Persistent), featureNames(mm.Optional), featureNames(mm.Persistent | mm.Optional)}}
	return c.print(j, func() string {
		l := func(s []string) string { return "[" + strings.Join(s, ",") + "]" }
		return fmt.Sprintf("all features\n\tsupported: %s\n\tpersistent: %s\non current monmap (epoch %d)\n\tpersistent: %s\n\trequired: %s\n", l(j.All.Supported), l(j.All.Persistent), mm.Epoch, l(j.MonMap.Persistent), l(j.MonMap.Required))
	})
}

func cmdMonOKToStop(c *call) error {
	left := slices.Clone(c.st.monNames(c.m.quorum(c.st)))
	ids := c.strs("ids")
	left = slices.DeleteFunc(left, func(n string) bool { return slices.Contains(ids, n) })
	if len(left) <= len(c.st.MonMap.Ranks)/2 {
		return fail(ceph.EBUSY, "not enough monitors would be available (%s) after stopping mons %v", strings.Join(left, ","), ids)
	}
	c.text = fmt.Sprintf("quorum should be preserved (%s) after stopping %v", strings.Join(left, ","), ids)
	return nil
}

func cmdMonOKToAdd(c *call) error {
	if len(c.m.quorum(c.st)) <= (len(c.st.MonMap.Ranks)+1)/2 {
		return fail(ceph.EBUSY, "adding a monitor may break quorum (until that monitor starts)")
	}
	c.text = "adding another mon that is not yet started will not break quorum"
	return nil
}

func cmdMonOKToRm(c *call) error {
	id, _ := c.str("id")
	if c.st.MonMap.Rank(id) < 0 {
		c.text = fmt.Sprintf("mon.%s does not exist", id)
		return nil
	}
	left := slices.DeleteFunc(c.st.monNames(c.m.quorum(c.st)), func(n string) bool { return n == id })
	if n := len(c.st.MonMap.Ranks) - 1; n == 0 || len(left) <= n/2 {
		return fail(ceph.EBUSY, "removing mon.%s would break quorum", id)
	}
	c.text = "safe to remove mon." + id
	return nil
}

// editMons changes the map of the monitors.
func (c *call) editMons(f func(mm *monmap.Map) error) error {
	return c.change(func(ch *Change) error {
		mm, err := monmap.Parse(ch.State.MonMapRaw)
		if err != nil {
			return err
		}
		if err := f(mm); err != nil {
			return err
		}
		mm.Epoch, mm.LastChanged = mm.Epoch+1, ch.Now
		var e denc.Encoder
		mm.Encode(&e)
		ch.Put(keyMonMap, e.Bytes())
		return nil
	})
}

func cmdMonAdd(c *call) error {
	name, _ := c.str("name")
	text, _ := c.str("addr")
	addrs, err := monAddrs(text)
	if err != nil {
		return fail(ceph.EINVAL, "address %q: %v", text, err)
	}
	if name == "" || strings.ContainsAny(name, " /") {
		return fail(ceph.EINVAL, "%q is no name of a monitor", name)
	}
	c.text = fmt.Sprintf("adding mon.%s at %v", name, addrs)
	return c.editMons(func(mm *monmap.Map) error {
		if mm.Rank(name) >= 0 {
			return fail(ceph.EEXIST, "mon.%s already exists at address %v", name, mm.Monitors[name].Addrs)
		}
		for _, n := range mm.Ranks {
			if slices.ContainsFunc(addrs, mm.Monitors[n].Addrs.Has) {
				return fail(ceph.EEXIST, "mon.%s already exists at address %v", n, mm.Monitors[n].Addrs)
			}
		}
		mm.Monitors[name] = monmap.Monitor{Name: name, Addrs: addrs}
		mm.Ranks = append(mm.Ranks, name)
		return nil
	})
}

// monAddrs reads where a monitor is to be: addresses as maps show them, or one IP
// with or without a port.
func monAddrs(text string) (ceph.AddrVec, error) {
	if strings.HasPrefix(text, "[v") {
		return ceph.ParseAddrVec(text)
	}
	if ip, err := netip.ParseAddr(text); err == nil {
		return ceph.AddrVec{ceph.MsgrAddr(netip.AddrPortFrom(ip, 3300), 0)}, nil
	}
	a, err := ceph.ParseAddr(text)
	if err == nil && a.IP.Port() == 0 {
		err = fmt.Errorf("no port")
	}
	a.Type = ceph.AddrMsgr2
	return ceph.AddrVec{a}, err
}

func cmdMonRm(c *call) error {
	name, _ := c.str("name")
	switch {
	case c.st.MonMap.Rank(name) < 0:
		c.text = fmt.Sprintf("mon.%s does not exist or has already been removed", name)
		return nil
	case len(c.st.MonMap.Ranks) == 1:
		return fail(ceph.EINVAL, "error: refusing removal of last monitor %s", name)
	}
	err := c.editMons(func(mm *monmap.Map) error {
		if mm.Rank(name) < 0 || len(mm.Ranks) == 1 {
			return fail(ceph.EAGAIN, "the map of the monitors has changed meanwhile")
		}
		mm.Removed = append(mm.Removed, int32(mm.Rank(name)))
		mm.Ranks = slices.DeleteFunc(mm.Ranks, func(n string) bool { return n == name })
		delete(mm.Monitors, name)
		return nil
	})
	c.text = fmt.Sprintf("removing mon.%s, there will be %d monitors", name, len(c.st.MonMap.Ranks))
	return err
}

// theMon changes one monitor of the map.
func (c *call) theMon(f func(m *monmap.Monitor)) error {
	name, _ := c.str("name")
	return c.editMons(func(mm *monmap.Map) error {
		m, ok := mm.Monitors[name]
		if !ok {
			return fail(ceph.ENOENT, "mon.%s does not exist", name)
		}
		f(&m)
		mm.Monitors[name] = m
		return nil
	})
}

func cmdMonWeight(c *call) error {
	return c.theMon(func(m *monmap.Monitor) { m.Weight = uint16(c.num("weight", 0)) })
}

func cmdMonAddrs(c *call) error {
	text, _ := c.str("addrs")
	addrs, err := monAddrs(text)
	if err != nil {
		return fail(ceph.EINVAL, "address %q: %v", text, err)
	}
	return c.theMon(func(m *monmap.Monitor) { m.Addrs = addrs })
}

func cmdMonRank(c *call) error {
	name, _ := c.str("name")
	rank := int(c.num("rank", 0))
	c.text = "set ranks in the map of the monitors"
	return c.editMons(func(mm *monmap.Map) error {
		if mm.Rank(name) < 0 {
			return fail(ceph.ENOENT, "mon.%s does not exist in monmap", name)
		}
		if rank < 0 || rank >= len(mm.Ranks) {
			return fail(ceph.EINVAL, "rank %d: want 0 to %d", rank, len(mm.Ranks)-1)
		}
		mm.Ranks = slices.DeleteFunc(mm.Ranks, func(n string) bool { return n == name })
		mm.Ranks = slices.Insert(mm.Ranks, rank, name)
		return nil
	})
}
