package mon

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func init() {
	add("mon", "r", "status", "show cluster status", cmdStatus)
	add("pg", "r", "pg stat", "show placement group status.", cmdPGStat)
}

// Version is what this program calls itself to clients.
const Version = "ebofs, speaking Ceph 16.2 (pacific)"

// bytesText writes bytes as Ceph's status does: three digits at most.
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
	case n%(1<<(10*(u+1))) == 0:
		return fmt.Sprintf("%.0f %ciB", f, units[u])
	}
	s := ""
	for digits := 1; digits >= 0; digits-- {
		if s = fmt.Sprintf("%.*f", digits, f); len(s) <= 3 {
			break
		}
	}
	return fmt.Sprintf("%s %ciB", s, units[u])
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
	OSDMap osdCounts `json:"osdmap"`
	PGMap  pgMapJSON `json:"pgmap"`
	FSMap  struct {
		Epoch   int   `json:"epoch"`
		Ranks   []int `json:"by_rank"`
		Standby int   `json:"up:standby"`
	} `json:"fsmap"`
	MgrMap struct {
		Available bool     `json:"available"`
		Standbys  int      `json:"num_standbys"`
		Modules   []string `json:"modules"`
		Services  empty    `json:"services"`
	} `json:"mgrmap"`
	ServiceMap serviceMapJSON `json:"servicemap"`
	Progress   empty          `json:"progress_events"`
}

type osdCounts struct {
	Epoch    ceph.Epoch `json:"epoch"`
	Num      int        `json:"num_osds"`
	Up       int        `json:"num_up_osds"`
	UpSince  uint32     `json:"osd_up_since"`
	In       int        `json:"num_in_osds"`
	InSince  uint32     `json:"osd_in_since"`
	Remapped int        `json:"num_remapped_pgs"`
}

func newOSDCounts(m *osdmap.Map) osdCounts {
	c := osdCounts{Epoch: m.Epoch, UpSince: m.LastUp.Sec, InSince: m.LastIn.Sec, Remapped: len(m.PGTemp)}
	c.Num, c.Up, c.In = counts(m)
	return c
}

// line is the OSDs in one line; age writes how long something has been so.
func (c osdCounts) line(m *osdmap.Map, age func(ceph.Time) string) string {
	s := fmt.Sprintf("%d osds: %d up%s, %d in%s", c.Num, c.Up, age(m.LastUp), c.In, age(m.LastIn))
	if c.Remapped > 0 {
		s += fmt.Sprintf("; %d remapped pgs", c.Remapped)
	}
	return s
}

// pgMapJSON sums PGs. What is zero of a sum of things to be worried about, or of
// what clients do, is left out.
type pgMapJSON struct {
	States         []stateCount `json:"pgs_by_state"`
	PGs            int          `json:"num_pgs"`
	Pools          int          `json:"num_pools"`
	Objects        int64        `json:"num_objects"`
	Data           int64        `json:"data_bytes"`
	Used           int64        `json:"bytes_used"`
	Avail          int64        `json:"bytes_avail"`
	Total          int64        `json:"bytes_total"`
	Unknown        float64      `json:"unknown_pgs_ratio,omitempty"`
	Inactive       float64      `json:"inactive_pgs_ratio,omitempty"`
	Degraded       int64        `json:"degraded_objects,omitempty"`
	DegradedTotal  int64        `json:"degraded_total,omitempty"`
	DegradedRatio  float64      `json:"degraded_ratio,omitempty"`
	Misplaced      int64        `json:"misplaced_objects,omitempty"`
	MisplacedTotal int64        `json:"misplaced_total,omitempty"`
	MisplacedRatio float64      `json:"misplaced_ratio,omitempty"`
	Recovered      int64        `json:"recovering_objects_per_sec,omitempty"`
	RecoveredBytes int64        `json:"recovering_bytes_per_sec,omitempty"`
	RecoveredKeys  int64        `json:"recovering_keys_per_sec,omitempty"`
	ReadBytes      int64        `json:"read_bytes_sec,omitempty"`
	WriteBytes     int64        `json:"write_bytes_sec,omitempty"`
	Reads          int64        `json:"read_op_per_sec,omitempty"`
	Writes         int64        `json:"write_op_per_sec,omitempty"`
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
	inactive := 0
	for s, n := range sum.States {
		p.States = append(p.States, stateCount{stateName(s), n})
		if !active(s) {
			inactive += n
		}
	}
	if sum.Unknown > 0 {
		p.States = append(p.States, stateCount{"unknown", sum.Unknown})
		p.Unknown = float64(sum.Unknown) / float64(p.PGs)
	}
	if inactive > 0 {
		p.Inactive = float64(inactive) / float64(p.PGs)
	}
	slices.SortFunc(p.States, func(a, b stateCount) int {
		if a.Count != b.Count {
			return b.Count - a.Count
		}
		return strings.Compare(a.Name, b.Name)
	})
	o := &sum.Sum
	if o.Degraded > 0 {
		p.Degraded, p.DegradedTotal, p.DegradedRatio = o.Degraded, o.Copies, percent(o.Degraded, o.Copies)/100
	}
	if o.Misplaced > 0 {
		p.Misplaced, p.MisplacedTotal, p.MisplacedRatio = o.Misplaced, o.Copies, percent(o.Misplaced, o.Copies)/100
	}
	r := sum.Rate
	p.ReadBytes, p.WriteBytes, p.Reads, p.Writes = r.ReadKB<<10, r.WriteKB<<10, r.Reads, r.Writes
	p.Recovered, p.RecoveredBytes, p.RecoveredKeys = r.RecoveredObjects, r.RecoveredBytes, r.RecoveredKeys
	return p
}

func cmdStatus(c *call) error {
	st := c.st
	sum := c.m.stats.summary(st.OSD)
	h := c.m.health(st, sum)
	ranks := c.m.quorum(st)
	j := statusJSON{FSID: st.MonMap.FSID.String(), Health: newHealth(h, false), ElectionEpoch: int(st.MonMap.Epoch), Quorum: ranks, QuorumNames: st.monNames(ranks), QuorumAge: c.m.age()}
	j.MonMap.Epoch, j.MonMap.Release, j.MonMap.Num = st.MonMap.Epoch, osdmap.ReleaseName(st.MonMap.MinRelease), len(st.MonMap.Ranks)
	j.OSDMap = newOSDCounts(st.OSD)
	j.PGMap = c.pgMap(sum)
	j.FSMap.Epoch, j.FSMap.Ranks = 1, []int{}
	j.MgrMap.Modules = []string{}
	j.ServiceMap = newServiceMap(st)
	return c.print(&j, func() string { return c.statusText(&j, h) })
}

func (c *call) statusText(j *statusJSON, h health) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  cluster:\n    id:     %s\n    health: %s\n", j.FSID, h.Worst)
	muted := []string{}
	for _, x := range h.Checks {
		if x.Muted {
			muted = append(muted, x.Code)
			continue
		}
		fmt.Fprintf(&b, "            %s\n", x.Summary)
	}
	if len(muted) > 0 {
		fmt.Fprintf(&b, "            (muted: %s)\n", strings.Join(muted, " "))
	}
	out := ""
	if all := c.st.MonMap.Ranks; len(j.Quorum) < len(all) {
		var gone []string
		for _, n := range all {
			if !slices.Contains(j.QuorumNames, n) {
				gone = append(gone, n)
			}
		}
		out = ", out of quorum: " + strings.Join(gone, ", ")
	}
	fmt.Fprintf(&b, " \n  services:\n    mon: %d daemons, quorum %s (age %s)%s\n    mgr: no daemons active\n", j.MonMap.Num, strings.Join(j.QuorumNames, ","), shortAge(time.Duration(j.QuorumAge)*time.Second), out)
	fmt.Fprintf(&b, "    osd: %s\n", j.OSDMap.line(c.st.OSD, c.ago))
	b.WriteString(" \n" + j.PGMap.text())
	b.WriteString(" \n")
	return b.String()
}

// ago says since when something has been so.
func (c *call) ago(t ceph.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf(" (since %s)", shortAge(c.m.cfg.Now().Sub(t.Std())))
}

// objectsText writes a count as Ceph's status does: 1.23k.
func objectsText(n int64) string {
	f, u := float64(n), -1
	for f >= 1000 && u < 5 {
		f /= 1000
		u++
	}
	if u < 0 {
		return fmt.Sprint(n)
	}
	s := ""
	for digits := 2; digits >= 0; digits-- {
		if s = fmt.Sprintf("%.*f", digits, f); len(s) <= 4 {
			break
		}
	}
	return s + string("kMGTPE"[u])
}

// text is the part of the status about data, and about who reads and writes it.
func (p *pgMapJSON) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  data:\n    pools:   %d pools, %d pgs\n    objects: %s objects, %s\n    usage:   %s used, %s / %s avail\n",
		p.Pools, p.PGs, objectsText(p.Objects), bytesText(p.Data), bytesText(p.Used), bytesText(p.Avail), bytesText(p.Total))
	label := "pgs:     "
	line := func(format string, args ...any) {
		fmt.Fprintf(&b, "    %s%s\n", label, fmt.Sprintf(format, args...))
		label = "         "
	}
	if p.Unknown > 0 {
		line("%.3f%% pgs unknown", 100*p.Unknown)
	}
	if p.Inactive > 0 {
		line("%.3f%% pgs not active", 100*p.Inactive)
	}
	if p.Degraded > 0 {
		line("%d/%d objects degraded (%.3f%%)", p.Degraded, p.DegradedTotal, 100*p.DegradedRatio)
	}
	if p.Misplaced > 0 {
		line("%d/%d objects misplaced (%.3f%%)", p.Misplaced, p.MisplacedTotal, 100*p.MisplacedRatio)
	}
	width := 0
	for _, s := range p.States {
		width = max(width, len(fmt.Sprint(s.Count)))
	}
	for _, s := range p.States {
		line("%-*d %s", width, s.Count, s.Name)
	}
	if len(p.States) == 0 {
		line("")
	}
	client, recovery := p.clientIO(), p.recoveryIO()
	if client != "" || recovery != "" {
		b.WriteString(" \n  io:\n")
	}
	if client != "" {
		fmt.Fprintf(&b, "    client:   %s\n", client)
	}
	if recovery != "" {
		fmt.Fprintf(&b, "    recovery: %s\n", recovery)
	}
	return b.String()
}

// clientIO is what clients do, as "1.2 MiB/s rd, 0 B/s wr, 12 op/s rd, 0 op/s wr".
func (p *pgMapJSON) clientIO() string {
	if p.Reads+p.Writes+p.ReadBytes+p.WriteBytes == 0 {
		return ""
	}
	return fmt.Sprintf("%s/s rd, %s/s wr, %s op/s rd, %s op/s wr", bytesText(p.ReadBytes), bytesText(p.WriteBytes), objectsText(p.Reads), objectsText(p.Writes))
}

func (p *pgMapJSON) recoveryIO() string {
	if p.Recovered+p.RecoveredBytes == 0 {
		return ""
	}
	return fmt.Sprintf("%s/s, %s objects/s", bytesText(p.RecoveredBytes), objectsText(p.Recovered))
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
	case d < 14*24*time.Hour:
		return fmt.Sprintf("%dd", int(d.Hours()/24))
	}
	return fmt.Sprintf("%dw", int(d.Hours()/24/7))
}

func cmdPGStat(c *call) error {
	p := c.pgMap(c.m.stats.summary(c.st.OSD))
	type named struct {
		Name string `json:"name"`
		Num  int    `json:"num"`
	}
	j := struct {
		Ready   bool `json:"pg_ready"`
		Summary struct {
			States []named `json:"num_pg_by_state"`
			PGs    int     `json:"num_pgs"`
			Bytes  int64   `json:"num_bytes"`
			Total  int64   `json:"total_bytes"`
			Avail  int64   `json:"total_avail_bytes"`
			Used   int64   `json:"total_used_bytes"`
			Raw    int64   `json:"total_used_raw_bytes"`
		} `json:"pg_summary"`
	}{Ready: true}
	s := &j.Summary
	s.States, s.PGs, s.Bytes, s.Total, s.Avail, s.Used, s.Raw = []named{}, p.PGs, p.Data, p.Total, p.Avail, p.Used, p.Used
	for _, x := range p.States {
		s.States = append(s.States, named{x.Name, x.Count})
	}
	return c.print(j, func() string {
		var states []string
		for _, s := range p.States {
			states = append(states, fmt.Sprintf("%d %s", s.Count, s.Name))
		}
		text := fmt.Sprintf("%d pgs: %s; %s data, %s used, %s / %s avail", p.PGs, strings.Join(states, ", "), bytesText(p.Data), bytesText(p.Used), bytesText(p.Avail), bytesText(p.Total))
		if io := p.clientIO(); io != "" {
			text += "; " + io
		}
		return text + "\n"
	})
}
