package mon

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/conf"
	"ebofs/cluster/crush"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

// Overview is the cluster at one moment as pages and metrics show it: plain
// values, the caller's own.
type Overview struct {
	Now     time.Time  `json:"now"`
	Started time.Time  `json:"started"` // this monitor
	Name    string     `json:"name"`    // of this monitor
	Version string     `json:"version"`
	FSID    string     `json:"fsid"`
	Epoch   ceph.Epoch `json:"epoch"` // of the OSD map
	Changed time.Time  `json:"changed"`

	Health   string          `json:"health"`
	Checks   []HealthCheck   `json:"checks"`
	Flags    []string        `json:"flags"` // of the OSD map, those that somebody has set
	Monitors []MonitorStatus `json:"monitors"`
	Leader   string          `json:"leader"`
	Usage    Usage           `json:"usage"`
	Nodes    []Node          `json:"nodes"` // of the CRUSH tree, parents first
	OSDs     []OSDStatus     `json:"osds"`
	Pools    []PoolStatus    `json:"pools"`
	PGs      []PGStatus      `json:"pgs"`
	States   []StateCount    `json:"states"` // of PGs, the most frequent first
	Options  []OptionValue   `json:"options"`
	Log      []LogLine       `json:"log"` // the last lines of the cluster's log

	NearFull     float64 `json:"nearfull_ratio"`
	BackfillFull float64 `json:"backfillfull_ratio"`
	Full         float64 `json:"full_ratio"`
}

// HealthCheck is a check that does not pass.
type HealthCheck struct {
	Code     string   `json:"code"`
	Severity string   `json:"severity"`
	Summary  string   `json:"summary"`
	Detail   []string `json:"detail"`
	Action   string   `json:"action"` // what to do about it
	Muted    bool     `json:"muted"`
}

// MonitorStatus is a monitor of the map.
type MonitorStatus struct {
	Name   string `json:"name"`
	Rank   int    `json:"rank"`
	Addr   string `json:"addr"`
	Quorum bool   `json:"in_quorum"`
}

// Usage sums what OSDs that are in report.
type Usage struct {
	Total     int64 `json:"total_bytes"`
	Used      int64 `json:"used_bytes"`
	Available int64 `json:"available_bytes"`
	Stored    int64 `json:"stored_bytes"` // by clients
	Objects   int64 `json:"objects"`
	Degraded  int64 `json:"objects_degraded"`
	Misplaced int64 `json:"objects_misplaced"`
	Unfound   int64 `json:"objects_unfound"`
	// What is copied to where it belongs, a second.
	RecoveringObjects int64 `json:"recovering_objects_per_sec"`
	RecoveringBytes   int64 `json:"recovering_bytes_per_sec"`
}

// Node is a bucket of the CRUSH tree, or an OSD in it.
type Node struct {
	ID     int32   `json:"id"`
	Name   string  `json:"name"`
	Type   string  `json:"type"`
	Depth  int     `json:"depth"`
	Weight float64 `json:"weight"`
}

// OSDStatus is an OSD of the map, and what it has reported.
type OSDStatus struct {
	ID       int32   `json:"id"`
	Host     string  `json:"host"`
	Class    string  `json:"class"`
	Addr     string  `json:"addr"`
	Cluster  string  `json:"cluster_addr"`
	Up       bool    `json:"up"`
	In       bool    `json:"in"`
	Weight   float64 `json:"weight"`
	Reweight float64 `json:"reweight"`
	PGs      int     `json:"pgs"`
	Total    int64   `json:"total_bytes"`
	Used     int64   `json:"used_bytes"`
	Avail    int64   `json:"available_bytes"`
	Commit   uint32  `json:"commit_latency_ms"`
	Apply    uint32  `json:"apply_latency_ms"`
	UpFrom   uint32  `json:"up_from"`

	Meta map[string]string `json:"metadata"` // what it said of itself at boot
}

// PoolStatus is a pool and what its PGs hold.
type PoolStatus struct {
	ID           ceph.PoolID `json:"id"`
	Name         string      `json:"name"`
	Type         string      `json:"type"`
	Size         int         `json:"size"`
	MinSize      int         `json:"min_size"`
	PGs          int         `json:"pgs"`
	Applications []string    `json:"applications"`
	Snaps        int         `json:"snaps"`
	Stored       int64       `json:"stored_bytes"`
	Used         int64       `json:"used_bytes"` // all copies
	MaxAvail     int64       `json:"max_avail_bytes"`
	QuotaBytes   uint64      `json:"quota_bytes"`
	QuotaObjects uint64      `json:"quota_objects"`

	Sum  msg.ObjectSum `json:"sum"`
	Rate msg.ObjectSum `json:"rate"` // what is done in a second: of reads, writes and recovery
}

// PGStatus is a PG as its primary reported it last. One that nobody has reported is
// "unknown" and has only what the map says.
type PGStatus struct {
	ID        ceph.PG   `json:"-"`
	Name      string    `json:"id"`
	State     string    `json:"state"`
	Severity  string    `json:"severity"` // as of a health check; empty: all is well
	Up        []int32   `json:"up"`
	Acting    []int32   `json:"acting"`
	Primary   int32     `json:"primary"`
	Version   string    `json:"version"`
	LogTail   string    `json:"log_tail"`
	LogSize   int64     `json:"log_entries"`
	Objects   int64     `json:"objects"`
	Bytes     int64     `json:"bytes"`
	BlockedBy []int32   `json:"blocked_by"`
	Waits     string    `json:"waits_for"` // in words; empty: for nothing
	Changed   time.Time `json:"changed"`
	Scrubbed  time.Time `json:"scrubbed"`
}

// StateCount is how many PGs are in a state.
type StateCount struct {
	State string `json:"state"`
	Count int    `json:"count"`
}

// OptionValue is a setting that is not the default, and who set it.
type OptionValue struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"`
	Where  string `json:"where,omitempty"` // file and line, or whom it is for
}

// LogLine is a line of the cluster's log.
type LogLine struct {
	Time  time.Time `json:"time"`
	Level string    `json:"level"`
	Who   string    `json:"who"`
	Text  string    `json:"text"`
}

// overviewLog is how many lines of the log an Overview has.
const overviewLog = 12

// Overview returns how the cluster is now.
func (m *Monitor) Overview() *Overview {
	st := m.State()
	sum := m.stats.summary(st.OSD)
	om := st.OSD
	o := &Overview{
		Now: m.cfg.Now(), Started: m.start, Name: m.cfg.Name, Version: Version, FSID: st.MonMap.FSID.String(), Epoch: om.Epoch, Changed: om.Modified.Std(),
		NearFull: float64(om.NearFullRatio), BackfillFull: float64(om.BackfillFullRatio), Full: float64(om.FullRatio),
	}
	h := m.health(st, sum)
	o.Health = h.Worst
	for _, c := range h.Checks {
		o.Checks = append(o.Checks, HealthCheck{c.Code, c.Severity, c.Summary, c.Detail, action(c.Code), c.Muted})
	}
	for _, f := range flagNames {
		if f.bit&^osdmap.FlagsOfEveryCluster != 0 && om.Flags&f.bit == f.bit {
			o.Flags = append(o.Flags, f.name)
		}
	}
	in := m.quorum(st)
	for r, name := range st.MonMap.Ranks {
		o.Monitors = append(o.Monitors, MonitorStatus{name, r, fmt.Sprint(st.MonMap.At(r).Addrs), slices.Contains(in, r)})
	}
	o.Leader = st.MonMap.Ranks[in[0]]
	s := sum.Sum
	o.Usage = Usage{sum.Store.Total, sum.Store.Allocated, sum.Store.Available, s.Bytes, s.Objects, s.Degraded, s.Misplaced, s.Unfound, sum.Rate.RecoveredObjects, sum.Rate.RecoveredBytes}
	o.osds(st, sum)
	o.pools(om, sum)
	o.pgs(om, sum)
	o.options(m, st)
	for _, l := range st.Log[max(0, len(st.Log)-overviewLog):] {
		o.Log = append(o.Log, LogLine{l.Stamp.Std(), levelMark(l.Priority), l.Name.String(), l.Text})
	}
	return o
}

// osds fills in the CRUSH tree and the OSDs. A tree that cannot be read is left
// out: the map would not have been accepted.
func (o *Overview) osds(st *State, sum *summary) {
	om := st.OSD
	host, class := map[int32]string{}, map[int32]string{}
	weight := map[int32]float64{}
	if cm, err := crush.Decode(om.Crush); err == nil {
		if d, err := cm.Dump(); err == nil {
			o.Nodes = crushNodes(d)
			for _, dev := range d.Devices {
				class[dev.ID] = dev.Class
			}
		}
	}
	at := ""
	for _, n := range o.Nodes {
		switch {
		case n.ID >= 0:
			weight[n.ID], host[n.ID] = n.Weight, at
		case n.Type == "host":
			at = n.Name
		default:
			at = ""
		}
	}
	for id := range om.MaxOSD {
		if !om.Exists(id) {
			continue
		}
		r := sum.OSDs[id]
		s := OSDStatus{
			ID: id, Host: cmp.Or(host[id], st.Meta[id]["hostname"]), Class: class[id], Up: om.IsUp(id), In: om.Weights[id] > 0,
			Weight: weight[id], Reweight: float64(om.Weights[id]) / float64(crush.One), PGs: int(r.PGs),
			Total: r.KB << 10, Used: r.KBUsed << 10, Avail: r.KBAvail << 10, Commit: r.CommitMillis, Apply: r.ApplyMillis, UpFrom: uint32(om.Infos[id].UpFrom),
			Meta: maps.Clone(st.Meta[id]),
		}
		if a := om.Client[id].Msgr2(); !a.IsBlank() {
			s.Addr = a.IP.String()
		}
		if a := om.Cluster[id].Msgr2(); !a.IsBlank() {
			s.Cluster = a.IP.String()
		}
		o.OSDs = append(o.OSDs, s)
	}
}

// crushNodes lists the tree without the shadows that device classes have.
func crushNodes(d *crush.Dump) (nodes []Node) {
	buckets := map[int32]*crush.DumpBucket{}
	inside := map[int32]bool{}
	for i := range d.Buckets {
		b := &d.Buckets[i]
		if strings.Contains(b.Name, "~") {
			continue
		}
		buckets[b.ID] = b
		for _, it := range b.Items {
			inside[it.ID] = true
		}
	}
	var walk func(id int32, weight crush.Weight, depth int)
	walk = func(id int32, weight crush.Weight, depth int) {
		n := Node{ID: id, Name: fmt.Sprintf("osd.%d", id), Type: "osd", Depth: depth, Weight: float64(weight) / float64(crush.One)}
		b := buckets[id]
		if id < 0 {
			if b == nil {
				return
			}
			n.Name, n.Type = b.Name, b.TypeName
		}
		nodes = append(nodes, n)
		if b != nil {
			for _, it := range b.Items {
				walk(it.ID, crush.Weight(it.Weight), depth+1)
			}
		}
	}
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(buckets))) {
		if !inside[id] {
			walk(id, crush.Weight(buckets[id].Weight), 0)
		}
	}
	return nodes
}

func (o *Overview) pools(om *osdmap.Map, sum *summary) {
	for _, id := range sortedPools(om) {
		p, s := om.Pools[id], sum.Pools[id]
		size := int64(max(p.Size, 1))
		x := PoolStatus{
			ID: id, Name: om.PoolNames[id], Type: "replicated", Size: int(p.Size), MinSize: int(p.MinSize), PGs: int(p.PGNum),
			Applications: slices.Sorted(maps.Keys(p.Applications)), Snaps: len(p.Snaps), Stored: s.Bytes, Used: s.Bytes * size,
			MaxAvail: int64(float64(sum.Store.Available)*float64(om.FullRatio)) / size, QuotaBytes: p.QuotaBytes, QuotaObjects: p.QuotaObjects, Sum: s, Rate: sum.Rates[id],
		}
		if p.ErasureProfile != "" {
			x.Type = "erasure"
		}
		o.Pools = append(o.Pools, x)
	}
}

func (o *Overview) pgs(om *osdmap.Map, sum *summary) {
	placer, err := osdmap.NewPlacer(om)
	var work osdmap.Work
	count := map[string]int{}
	for _, id := range sortedPools(om) {
		for seed := range om.Pools[id].PGNum {
			pg := ceph.PG{Pool: id, Seed: seed}
			p := PGStatus{ID: pg, Name: pg.String(), State: "unknown", Primary: -1}
			st, known := sum.PGs[pg]
			if known {
				p.State = stateName(st.State)
				p.Up, p.Acting, p.Primary = slices.Clone(st.Up), slices.Clone(st.Acting), st.ActingPrimary
				p.Version, p.LogTail, p.LogSize = st.Version.String(), st.LogStart.String(), st.LogSize
				p.Objects, p.Bytes, p.BlockedBy = st.Sum.Objects, st.Sum.Bytes, slices.Clone(st.BlockedBy)
				p.Changed, p.Scrubbed = st.LastChange.Std(), st.LastScrubStamp.Std()
			} else if err == nil {
				if at, err := placer.Place(&work, pg); err == nil {
					p.Up, p.Acting, p.Primary = slices.Clone(at.Up), slices.Clone(at.Acting), at.ActingPrimary
				}
			}
			p.Severity, p.Waits = judgePG(om, &p, st.State, known)
			count[p.State]++
			o.PGs = append(o.PGs, p)
		}
	}
	for s, n := range count {
		o.States = append(o.States, StateCount{s, n})
	}
	slices.SortFunc(o.States, func(a, b StateCount) int { return cmp.Or(b.Count-a.Count, strings.Compare(a.State, b.State)) })
}

// judgePG says how bad the state of a PG is, and what it waits for.
func judgePG(om *osdmap.Map, p *PGStatus, s msg.PGState, known bool) (severity, waits string) {
	down := func() string {
		var list []string
		for _, id := range p.Acting {
			if !om.IsUp(id) {
				list = append(list, fmt.Sprintf("osd.%d", id))
			}
		}
		return strings.Join(list, " and ")
	}()
	switch {
	case !known && len(p.Acting) == 0:
		return healthWarn, "an OSD that is up and that the pool's rule can choose"
	case !known && down != "":
		return healthWarn, down + " to come up"
	case !known:
		return healthWarn, fmt.Sprintf("osd.%d to report it", p.Primary)
	case s&msg.PGInconsistent != 0:
		return healthErr, "a repair of what is damaged"
	case s&(msg.PGRecoveryUnfound|msg.PGBackfillUnfound) != 0:
		return healthErr, "an OSD that has its unfound objects"
	case s&msg.PGStale != 0:
		return healthWarn, fmt.Sprintf("osd.%d to come up", p.Primary)
	case len(p.BlockedBy) > 0:
		return healthWarn, "osd." + strings.ReplaceAll(strings.Trim(fmt.Sprint(p.BlockedBy), "[]"), " ", ", osd.")
	case s&msg.PGActive == 0:
		return healthWarn, "peering to end"
	case s&(msg.PGUndersized|msg.PGDegraded) != 0:
		return healthWarn, "more OSDs to hold copies"
	}
	return "", ""
}

// options lists what is set: in the database, and of this monitor.
func (o *Overview) options(m *Monitor, st *State) {
	for _, who := range slices.Sorted(maps.Keys(st.Config)) {
		for _, name := range slices.Sorted(maps.Keys(st.Config[who])) {
			value := st.Config[who][name]
			if opt, ok := conf.Lookup(name); ok {
				value = conf.Setting{Option: opt, Value: value}.Shown()
			}
			o.Options = append(o.Options, OptionValue{name, value, conf.Database.String(), who})
		}
	}
	for _, s := range m.cfg.Options.Changed() {
		if s.Source != conf.Database {
			o.Options = append(o.Options, OptionValue{s.Name, s.Shown(), s.Source.String(), s.Where})
		}
	}
}

// readyTime bounds how long Ready waits for the quorum.
const readyTime = time.Second

// Ready returns why the monitor cannot serve: its state makes no sense to it, or the
// quorum has no majority.
func (m *Monitor) Ready() error {
	m.mu.Lock()
	failed := m.mu.failed
	m.mu.Unlock()
	if failed != nil {
		return failed
	}
	ctx, cancel := context.WithTimeout(m.ctx, readyTime)
	defer cancel()
	if _, err := m.cfg.Quorum.Get(ctx, keyMonMap); err != nil {
		return fmt.Errorf("mon.%s: the quorum does not answer: %w", m.cfg.Name, err)
	}
	return nil
}
