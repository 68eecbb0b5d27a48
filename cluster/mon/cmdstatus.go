package mon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

func init() {
	add("mon", "r", "status", "show cluster status", cmdStatus)
	add("mon", "r", "health [detail:CephChoices=detail]", "show cluster health", cmdHealth)
	add("mon", "r", "df [detail:CephChoices=detail]", "show cluster free space stats", cmdDF)
	add("mon", "r", "fsid", "show cluster FSID/UUID", cmdFSID)
	add("mon", "r", "versions", "check running versions of ceph daemons", cmdVersions)
	add("mon", "r", "version", "show mon daemon version", cmdVersion)
	add("mon", "r", "quorum_status", "report status of monitor quorum", cmdQuorum)
	add("mon", "r", "mon_status", "report status of this monitor", cmdQuorum)
	add("mon", "r", "mon stat", "summarize monitor status", cmdMonStat)
	add("mon", "r", "mon dump", "dump formatted monmap", cmdMonDump)
	add("mon", "r", "log last [num:CephInt=1] [level:CephChoices=debug|info|sec|warn|error] [channel:CephChoices=*|cluster|audit|cephadm]",
		"print last few lines of the cluster log", cmdLogLast)
	add("mon", "rw", "log logtext:CephString…", "log supplied text to the monitor log", cmdLog)
	add("pg", "r", "pg stat", "show placement group status", cmdPGStat)
	add("pg", "r", "pg dump [dumpcontents:CephChoices…=all|summary|sum|delta|pools|osds|pgs|pgs_brief]", "show human-readable versions of pg map", cmdPGDump)
	add("pg", "r", "pg map pgid:CephPgid", "show mapping of pg to osds", cmdPGMap)
}

// Version is what this program calls itself to clients.
const Version = "ebofs, speaking Ceph 16.2 (pacific)"

// bytesText writes bytes as Ceph's status does.
func bytesText(n int64) string {
	const units = "KMGTPE"
	f, u := float64(n), -1
	for f >= 1024 && u < len(units)-1 {
		f /= 1024
		u++
	}
	switch {
	case u < 0:
		return fmt.Sprintf("%d B", n)
	case f < 10:
		return fmt.Sprintf("%.1f %ciB", f, units[u])
	default:
		return fmt.Sprintf("%.0f %ciB", f, units[u])
	}
}

// healthJSON is the health as status and health show it.
type healthJSON struct {
	Status string               `json:"status"`
	Checks map[string]checkJSON `json:"checks"`
	Mutes  []string             `json:"mutes"`
}

type checkJSON struct {
	Severity string      `json:"severity"`
	Summary  summaryJSON `json:"summary"`
	Detail   []textJSON  `json:"detail,omitempty"`
	Muted    bool        `json:"muted"`
}

type summaryJSON struct {
	Message string `json:"message"`
	Count   int    `json:"count"`
}

type textJSON struct {
	Message string `json:"message"`
}

func newHealth(worst string, list []check, detail bool) healthJSON {
	h := healthJSON{Status: worst, Checks: map[string]checkJSON{}, Mutes: []string{}}
	for _, c := range list {
		j := checkJSON{Severity: c.Severity, Summary: summaryJSON{c.Summary, c.Count}}
		for _, d := range c.Detail {
			if detail {
				j.Detail = append(j.Detail, textJSON{d})
			}
		}
		h.Checks[c.Code] = j
	}
	return h
}

// statusJSON has the shape of `ceph status`.
type statusJSON struct {
	FSID          string     `json:"fsid"`
	Health        healthJSON `json:"health"`
	ElectionEpoch int        `json:"election_epoch"`
	Quorum        []int      `json:"quorum"`
	QuorumNames   []string   `json:"quorum_names"`
	QuorumAge     int        `json:"quorum_age"`
	MonMap        struct {
		Epoch   ceph.Epoch `json:"epoch"`
		Release string     `json:"min_mon_release_name"`
		Num     int        `json:"num_mons"`
	} `json:"monmap"`
	OSDMap struct {
		Epoch    ceph.Epoch `json:"epoch"`
		Num      int        `json:"num_osds"`
		Up       int        `json:"num_up_osds"`
		UpSince  uint32     `json:"osd_up_since"`
		In       int        `json:"num_in_osds"`
		InSince  uint32     `json:"osd_in_since"`
		Remapped int        `json:"num_remapped_pgs"`
	} `json:"osdmap"`
	PGMap  pgMapJSON `json:"pgmap"`
	MgrMap struct {
		Available bool              `json:"available"`
		Standbys  int               `json:"num_standbys"`
		Modules   []string          `json:"modules"`
		Services  map[string]string `json:"services"`
	} `json:"mgrmap"`
	Progress map[string]string `json:"progress_events"`
}

type pgMapJSON struct {
	States  []stateCount `json:"pgs_by_state"`
	PGs     int          `json:"num_pgs"`
	Pools   int          `json:"num_pools"`
	Objects int64        `json:"num_objects"`
	Data    int64        `json:"data_bytes"`
	Used    int64        `json:"bytes_used"`
	Avail   int64        `json:"bytes_avail"`
	Total   int64        `json:"bytes_total"`
	Unknown float64      `json:"unknown_pgs_ratio,omitempty"`
}

type stateCount struct {
	Name  string `json:"state_name"`
	Count int    `json:"count"`
}

// counts returns how many OSDs there are, are up, and are in.
func counts(m *osdmap.Map) (total, up, in int) {
	for osd := range m.MaxOSD {
		if m.Exists(osd) {
			total++
			if m.IsUp(osd) {
				up++
			}
			if m.Weights[osd] > 0 {
				in++
			}
		}
	}
	return total, up, in
}

func (c *call) pgMap(sum *summary) pgMapJSON {
	p := pgMapJSON{
		PGs: len(sum.PGs) + sum.Unknown, Pools: len(c.st.OSD.Pools), Objects: sum.Sum.Objects, Data: sum.Sum.Bytes,
		Used: sum.Store.Allocated, Avail: sum.Store.Available, Total: sum.Store.Total, States: []stateCount{},
	}
	for s, n := range sum.States {
		p.States = append(p.States, stateCount{stateName(s), n})
	}
	if sum.Unknown > 0 {
		p.States = append(p.States, stateCount{"unknown", sum.Unknown})
		p.Unknown = float64(sum.Unknown) / float64(p.PGs)
	}
	slices.SortFunc(p.States, func(a, b stateCount) int { return b.Count - a.Count })
	return p
}

func cmdStatus(c *call) error {
	st := c.st
	sum := c.m.stats.summary(st.OSD)
	worst, list := c.m.health(st, sum)
	j := statusJSON{FSID: st.MonMap.FSID.String(), Health: newHealth(worst, list, false), ElectionEpoch: int(st.MonMap.Epoch), Quorum: []int{}, QuorumNames: st.MonMap.Ranks, Progress: map[string]string{}}
	for r := range st.MonMap.Ranks {
		j.Quorum = append(j.Quorum, r)
	}
	j.QuorumAge = int(c.m.cfg.Now().Sub(c.m.start).Seconds())
	j.MonMap.Epoch, j.MonMap.Release, j.MonMap.Num = st.MonMap.Epoch, "pacific", len(st.MonMap.Ranks)
	j.OSDMap.Epoch = st.OSD.Epoch
	j.OSDMap.Num, j.OSDMap.Up, j.OSDMap.In = counts(st.OSD)
	j.OSDMap.UpSince, j.OSDMap.InSince = st.OSD.LastUp.Sec, st.OSD.LastIn.Sec
	j.PGMap = c.pgMap(sum)
	j.MgrMap.Modules, j.MgrMap.Services = []string{}, map[string]string{}
	return c.print(&j, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "  cluster:\n    id:     %s\n    health: %s\n", j.FSID, worst)
		for _, x := range list {
			fmt.Fprintf(&b, "            %s\n", x.Summary)
		}
		age := func(t ceph.Time) string {
			if t.IsZero() {
				return ""
			}
			return fmt.Sprintf(" (since %s)", shortAge(c.m.cfg.Now().Sub(t.Std())))
		}
		fmt.Fprintf(&b, " \n  services:\n    mon: %d daemons, quorum %s (age %s)\n    mgr: no daemons active\n", j.MonMap.Num, strings.Join(j.QuorumNames, ","), shortAge(time.Duration(j.QuorumAge)*time.Second))
		fmt.Fprintf(&b, "    osd: %d osds: %d up%s, %d in%s\n", j.OSDMap.Num, j.OSDMap.Up, age(st.OSD.LastUp), j.OSDMap.In, age(st.OSD.LastIn))
		fmt.Fprintf(&b, " \n  data:\n    pools:   %d pools, %d pgs\n    objects: %d objects, %s\n    usage:   %s used, %s / %s avail\n",
			j.PGMap.Pools, j.PGMap.PGs, j.PGMap.Objects, bytesText(j.PGMap.Data), bytesText(j.PGMap.Used), bytesText(j.PGMap.Avail), bytesText(j.PGMap.Total))
		for i, s := range j.PGMap.States {
			label := "pgs:    "
			if i > 0 {
				label = "        "
			}
			fmt.Fprintf(&b, "    %s %d %s\n", label, s.Count, s.Name)
		}
		b.WriteString(" \n")
		return b.String()
	})
}

// shortAge writes a time as Ceph's status does: 5s, 3m, 2h, 4d.
func shortAge(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}

func cmdHealth(c *call) error {
	worst, list := c.m.health(c.st, c.m.stats.summary(c.st.OSD))
	_, detail := c.str("detail")
	return c.print(newHealth(worst, list, detail), func() string {
		var b strings.Builder
		b.WriteString(worst)
		var all []string
		for _, x := range list {
			all = append(all, x.Summary)
		}
		if len(all) > 0 {
			b.WriteString(" " + strings.Join(all, "; "))
		}
		b.WriteByte('\n')
		for _, x := range list {
			if detail {
				fmt.Fprintf(&b, "[%s] %s: %s\n", strings.TrimPrefix(strings.Replace(x.Severity, "HEALTH_WARN", "WRN", 1), "HEALTH_"), x.Code, x.Summary)
				for _, d := range x.Detail {
					fmt.Fprintf(&b, "    %s\n", d)
				}
			}
		}
		return b.String()
	})
}

func cmdFSID(c *call) error {
	id := c.st.MonMap.FSID.String()
	return c.print(map[string]string{"fsid": id}, func() string { return id + "\n" })
}

func cmdVersion(c *call) error {
	return c.print(map[string]string{"version": Version, "release": "pacific", "release_type": "stable"}, func() string { return Version + "\n" })
}

func cmdVersions(c *call) error {
	v := map[string]map[string]int{"mon": {Version: len(c.st.MonMap.Ranks)}, "mgr": {}, "osd": {}, "mds": {}, "overall": {Version: len(c.st.MonMap.Ranks)}}
	for osd := range c.st.OSD.MaxOSD {
		if c.st.OSD.IsUp(osd) {
			name := c.st.Meta[osd]["ceph_version"]
			if name == "" {
				name = "unknown"
			}
			v["osd"][name]++
			v["overall"][name]++
		}
	}
	return c.print(v, nil)
}

type monJSON struct {
	Rank   int    `json:"rank"`
	Name   string `json:"name"`
	Public struct {
		Addrs []addrJSON `json:"addrvec"`
	} `json:"public_addrs"`
	Addr     string `json:"addr"`
	Priority uint16 `json:"priority"`
	Weight   uint16 `json:"weight"`
	Location string `json:"crush_location"`
}

type addrJSON struct {
	Type  string `json:"type"`
	Addr  string `json:"addr"`
	Nonce uint32 `json:"nonce"`
}

type monMapJSON struct {
	Epoch    ceph.Epoch `json:"epoch"`
	FSID     string     `json:"fsid"`
	Modified string     `json:"modified"`
	Created  string     `json:"created"`
	Release  int        `json:"min_mon_release"`
	Name     string     `json:"min_mon_release_name"`
	Election int        `json:"election_strategy"`
	Mons     []monJSON  `json:"mons"`
	Quorum   []int      `json:"quorum,omitempty"`
}

func newMonMap(st *State) monMapJSON {
	mm := st.MonMap
	j := monMapJSON{
		Epoch: mm.Epoch, FSID: mm.FSID.String(), Modified: mm.LastChanged.String(), Created: mm.Created.String(),
		Release: int(mm.MinRelease), Name: osdmap.ReleaseName(mm.MinRelease), Election: int(mm.Strategy),
	}
	for r := range mm.Ranks {
		m := mm.At(r)
		x := monJSON{Rank: r, Name: m.Name, Priority: m.Priority, Weight: m.Weight, Location: "{}"}
		for _, a := range m.Addrs {
			x.Public.Addrs = append(x.Public.Addrs, addrJSON{a.Type.String(), a.IP.String(), a.Nonce})
		}
		if a := m.Addrs.Msgr2(); !a.IsBlank() {
			x.Addr = fmt.Sprintf("%v/%d", a.IP, a.Nonce)
		}
		j.Mons = append(j.Mons, x)
		j.Quorum = append(j.Quorum, r)
	}
	return j
}

func cmdMonDump(c *call) error {
	j := newMonMap(c.st)
	c.text = fmt.Sprintf("dumped monmap epoch %d", j.Epoch)
	return c.print(j, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "epoch %d\nfsid %s\nlast_changed %s\ncreated %s\nmin_mon_release %d (%s)\nelection_strategy: %d\n", j.Epoch, j.FSID, j.Modified, j.Created, j.Release, j.Name, j.Election)
		for r := range c.st.MonMap.Ranks {
			m := c.st.MonMap.At(r)
			fmt.Fprintf(&b, "%d: %v mon.%s\n", r, m.Addrs, m.Name)
		}
		return b.String()
	})
}

func cmdMonStat(c *call) error {
	mm := c.st.MonMap
	var all []string
	for r := range mm.Ranks {
		all = append(all, fmt.Sprintf("%s=%v", mm.Ranks[r], mm.At(r).Addrs))
	}
	text := fmt.Sprintf("e%d: %d mons at {%s}, election epoch %d, leader 0 %s, quorum 0 %s\n", mm.Epoch, len(mm.Ranks), strings.Join(all, ","), mm.Epoch, mm.Ranks[0], strings.Join(mm.Ranks, ","))
	return c.print(map[string]any{"epoch": mm.Epoch, "num_mons": len(mm.Ranks), "leader": mm.Ranks[0]}, func() string { return text })
}

func cmdQuorum(c *call) error {
	j := struct {
		Election int        `json:"election_epoch"`
		Quorum   []int      `json:"quorum"`
		Names    []string   `json:"quorum_names"`
		Leader   string     `json:"quorum_leader_name"`
		Age      int        `json:"quorum_age"`
		MonMap   monMapJSON `json:"monmap"`
	}{int(c.st.MonMap.Epoch), newMonMap(c.st).Quorum, c.st.MonMap.Ranks, c.st.MonMap.Ranks[0], int(c.m.cfg.Now().Sub(c.m.start).Seconds()), newMonMap(c.st)}
	return c.print(j, nil)
}

// pingStatus is what `ceph ping mon.X` shows.
func (m *Monitor) pingStatus(st *State) []byte {
	worst, list := m.health(st, m.stats.summary(st.OSD))
	p, err := json.Marshal(map[string]any{"health": newHealth(worst, list, false), "mon_status": map[string]any{"name": m.cfg.Name, "state": "leader", "monmap": newMonMap(st)}})
	if err != nil {
		return []byte("{}")
	}
	return p
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
	out := []map[string]any{}
	var b strings.Builder
	for _, l := range list {
		out = append(out, map[string]any{"name": l.Name.String(), "rank": l.Rank.String(), "stamp": l.Stamp.String(), "seq": l.Seq, "channel": l.Channel, "priority": levelMark(l.Priority), "message": l.Text})
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
		l.Name = c.s.conn.Peer().Auth.Name
		ch.Log(l)
		return nil
	})
}

func cmdDF(c *call) error {
	sum := c.m.stats.summary(c.st.OSD)
	type stats struct {
		Total int64   `json:"total_bytes"`
		Avail int64   `json:"total_avail_bytes"`
		Used  int64   `json:"total_used_bytes"`
		Raw   int64   `json:"total_used_raw_bytes"`
		Ratio float64 `json:"total_used_raw_ratio"`
		OSDs  int     `json:"num_osds"`
	}
	type pool struct {
		Name  string      `json:"name"`
		ID    ceph.PoolID `json:"id"`
		Stats struct {
			Stored  int64   `json:"stored"`
			Objects int64   `json:"objects"`
			KBUsed  int64   `json:"kb_used"`
			Used    int64   `json:"bytes_used"`
			Percent float64 `json:"percent_used"`
			Avail   int64   `json:"max_avail"`
		} `json:"stats"`
	}
	j := struct {
		Stats stats  `json:"stats"`
		Pools []pool `json:"pools"`
	}{Pools: []pool{}}
	j.Stats = stats{Total: sum.Store.Total, Avail: sum.Store.Available, Used: sum.Store.Allocated, Raw: sum.Store.Allocated, OSDs: len(sum.OSDs)}
	if sum.Store.Total > 0 {
		j.Stats.Ratio = float64(sum.Store.Allocated) / float64(sum.Store.Total)
	}
	for _, id := range sortedPools(c.st.OSD) {
		p := pool{Name: c.st.OSD.PoolNames[id], ID: id}
		o := sum.Pools[id]
		size := int64(max(c.st.OSD.Pools[id].Size, 1))
		p.Stats.Stored, p.Stats.Objects, p.Stats.Used, p.Stats.KBUsed = o.Bytes, o.Objects, o.Bytes*size, o.Bytes*size/1024
		p.Stats.Avail = int64(float64(sum.Store.Available)*float64(c.st.OSD.FullRatio)) / size
		if t := p.Stats.Used + p.Stats.Avail*size; t > 0 {
			p.Stats.Percent = float64(p.Stats.Used) / float64(t)
		}
		j.Pools = append(j.Pools, p)
	}
	return c.print(j, func() string {
		var b strings.Builder
		fmt.Fprintf(&b, "--- RAW STORAGE ---\nCLASS  %10s  %10s  %10s  %10s  %%RAW USED\n", "SIZE", "AVAIL", "USED", "RAW USED")
		fmt.Fprintf(&b, "TOTAL  %10s  %10s  %10s  %10s  %9.2f\n \n", bytesText(j.Stats.Total), bytesText(j.Stats.Avail), bytesText(j.Stats.Used), bytesText(j.Stats.Raw), 100*j.Stats.Ratio)
		fmt.Fprintf(&b, "--- POOLS ---\n%-20s %4s %5s %10s %8s %10s %6s %10s\n", "POOL", "ID", "PGS", "STORED", "OBJECTS", "USED", "%USED", "MAX AVAIL")
		for _, p := range j.Pools {
			fmt.Fprintf(&b, "%-20s %4d %5d %10s %8d %10s %6.2f %10s\n", p.Name, p.ID, c.st.OSD.Pools[p.ID].PGNum, bytesText(p.Stats.Stored), p.Stats.Objects, bytesText(p.Stats.Used), 100*p.Stats.Percent, bytesText(p.Stats.Avail))
		}
		return b.String()
	})
}
