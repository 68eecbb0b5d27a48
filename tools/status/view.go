package status

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"ebofs/cluster/conf"
	"ebofs/cluster/mon"
	"ebofs/osd/track"
)

// Level is how bad something is; each has a colour and a sign.
type Level string

// The levels.
const (
	Good    Level = "good"
	Warn    Level = "warn"
	Bad     Level = "bad"
	Unknown Level = "unknown"
	Busy    Level = "busy"
)

// View is everything the page shows, and the answer of /api/v1/status.
type View struct {
	Daemon  string            `json:"daemon"`
	Version string            `json:"version"`
	Now     time.Time         `json:"now"`
	Started time.Time         `json:"started"`
	Level   Level             `json:"level"`
	Verdict string            `json:"verdict"`       // in a few words
	Why     string            `json:"why,omitempty"` // of a process without a monitor that does not serve
	Tally   string            `json:"-"`             // of checks: "1 error, 2 warnings"
	Checks  []mon.HealthCheck `json:"-"`             // the worst first

	Cluster *mon.Overview     `json:"cluster,omitempty"`
	Pools   []PoolView        `json:"-"`
	Hosts   []Host            `json:"hosts"`
	Slow    []Request         `json:"slow_requests"`
	Options []mon.OptionValue `json:"options"`
	Maps    []MapView         `json:"maps"`
	PG      *mon.PGStatus     `json:"-"` // that was clicked
	Picked  int32             `json:"-"` // whose plots and map are shown; all: nobody's

	Recovery string `json:"-"` // how far it is; empty: there is nothing to recover

	// What clients do in a second, as the monitor knows it.
	ClientReads, ClientWrites int64 `json:"-"`

	Writes, Reads latency  `json:"-"` // of all OSDs here, in the last second
	History       *History `json:"-"` // for the plots of a page without JavaScript
	HasOSDs       bool     `json:"-"`
	Still         bool     `json:"-"` // the page is to have no scripts
}

// PoolView is a pool with its PGs.
type PoolView struct {
	mon.PoolStatus
	Squares []Square
	More    int // PGs that have no square
}

// Square is a PG.
type Square struct {
	Name, State string
	Level       Level
	Sign        string
}

// maxSquares bounds the squares on a page: those of PGs that are not well come
// first when there are more.
const maxSquares = 4096

// Host is OSDs in one place.
type Host struct {
	Name string    `json:"name"`
	OSDs []OSDView `json:"osds"`
}

// OSDView is an OSD: what the map and what the process itself knows.
type OSDView struct {
	ID     int32   `json:"id"`
	Level  Level   `json:"level"`
	State  string  `json:"state"`
	Class  string  `json:"class,omitempty"`
	Weight float64 `json:"weight"`
	PGs    int     `json:"pgs"`
	Total  int64   `json:"total_bytes"`
	Used   int64   `json:"used_bytes"`
	// The marks of the map, as shares of Total; 0: not known.
	NearFull     float64 `json:"nearfull_ratio"`
	BackfillFull float64 `json:"backfillfull_ratio"`
	Full         float64 `json:"full_ratio"`

	Here   bool    `json:"here"` // in this process
	Path   string  `json:"path,omitempty"`
	Writes latency `json:"-"`
	Reads  latency `json:"-"`
	Commit latency `json:"-"`
	// Mean commit latency as the OSD reported it, for one of another process.
	CommitMillis uint32  `json:"commit_latency_ms"`
	CommitP50    float64 `json:"commit_p50_seconds"`
	CommitP99    float64 `json:"commit_p99_seconds"`
	Score        float64 `json:"fragmentation_score"`
	Failed       string  `json:"failed,omitempty"`
}

// Share is how full it is.
func (o *OSDView) Share() float64 {
	if o.Total == 0 {
		return 0
	}
	return float64(o.Used) / float64(o.Total)
}

// Request is a request of a client that takes or took long.
type Request struct {
	OSD    int32         `json:"osd"`
	Text   string        `json:"description"`
	Took   time.Duration `json:"duration_ns"`
	Over   bool          `json:"over"`
	Began  time.Time     `json:"began"`
	Wait   string        `json:"wait"` // what it waits for, or waited for longest
	Waited time.Duration `json:"waited_ns"`
	Slow   bool          `json:"slow"` // long enough to be complained of
	Stages []StageTime   `json:"stages"`
}

// StageTime is how long a request was in a stage.
type StageTime struct {
	Stage string        `json:"stage"`
	Time  time.Duration `json:"duration_ns"`
}

// MapView is an OSD whose device can be drawn.
type MapView struct {
	OSD    int32      `json:"osd"`
	Path   string     `json:"path"`
	Epoch  uint64     `json:"epoch"`
	Epochs []KeptView `json:"kept_epochs"` // earlier ones, oldest first
	Score  float64    `json:"fragmentation_score"`
}

// KeptView is a kept epoch.
type KeptView struct {
	Epoch   uint64    `json:"epoch"`
	Written time.Time `json:"written"`
}

// view puts together what the recorder knows.
func (r *recorder) view() *View {
	r.mu.Lock()
	v := &View{Daemon: r.src.Daemon, Version: r.src.Version, Now: r.src.Now(), Started: r.src.Started, Cluster: r.mu.cluster, Picked: all, HasOSDs: r.src.OSDs != nil}
	if list := r.mu.points[all]; len(list) > 0 {
		p := list[len(list)-1]
		v.Writes, v.Reads = p.Write, p.Read
	}
	r.hostsLocked(v)
	r.mapsLocked(v)
	running := r.mu.running
	v.Why = r.mu.notReady
	r.mu.Unlock()
	v.slow(running)
	v.judge()
	v.options(r.src)
	if v.Cluster != nil {
		v.squares()
	}
	return v
}

// hostsLocked lists the OSDs of the map by host; without a map, those of this
// process.
func (r *recorder) hostsLocked(v *View) {
	here := map[int32]OSD{}
	for _, o := range r.mu.running {
		here[o.ID] = o
	}
	add := func(host string, o OSDView) {
		if h, ok := here[o.ID]; ok {
			o.Here, o.Path = true, h.Path
			r.figuresLocked(&o)
		}
		i := slices.IndexFunc(v.Hosts, func(h Host) bool { return h.Name == host })
		if i < 0 {
			i = len(v.Hosts)
			v.Hosts = append(v.Hosts, Host{Name: host})
		}
		v.Hosts[i].OSDs = append(v.Hosts[i].OSDs, o)
	}
	if c := v.Cluster; c != nil {
		for i := range c.OSDs {
			s := &c.OSDs[i]
			o := OSDView{ID: s.ID, Class: s.Class, Weight: s.Weight, PGs: s.PGs, Total: s.Total, Used: s.Used, CommitMillis: s.Commit, NearFull: c.NearFull, BackfillFull: c.BackfillFull, Full: c.Full}
			o.Level, o.State = Good, "up · in"
			switch {
			case !s.Up && s.In:
				o.Level, o.State = Bad, "down · in"
			case !s.Up:
				o.Level, o.State = Unknown, "down · out"
			case !s.In:
				o.Level, o.State = Warn, "up · out"
			case c.Full > 0 && o.Share() >= c.Full:
				o.Level, o.State = Bad, "up · full"
			case c.NearFull > 0 && o.Share() >= c.NearFull:
				o.Level, o.State = Warn, "up · nearly full"
			}
			add(cmp.Or(s.Host, "no host"), o)
		}
		return
	}
	for _, o := range r.mu.running {
		add("this host", OSDView{ID: o.ID, Level: Good, State: "serves"})
	}
}

// figuresLocked fills in what this process knows of an OSD.
func (r *recorder) figuresLocked(o *OSDView) {
	if list := r.mu.points[o.ID]; len(list) > 0 {
		p := list[len(list)-1]
		o.Writes, o.Reads = p.Write, p.Read
		o.Commit = lately(list, func(p *point) latency { return p.Commit })
		o.CommitP50, o.CommitP99 = o.Commit.P50, o.Commit.P99
	}
	f := r.mu.last[o.ID]
	if f == nil {
		return
	}
	if c := f.counters; c != nil {
		o.PGs = max(o.PGs, c.PGs)
		if o.Total == 0 {
			o.Total, o.Used = int64(c.TotalBytes), int64(c.UsedBytes)
		}
	}
	o.Score = f.score
	if f.wrong {
		o.Level, o.State, o.Failed = Bad, "store stopped", f.failed
	}
}

// lately is the newest of points in which something happened, of the last ten.
func lately(list []point, of func(*point) latency) latency {
	for i := range list[max(0, len(list)-10):] {
		if l := of(&list[len(list)-1-i]); l.P50 > 0 {
			return l
		}
	}
	return latency{}
}

func (r *recorder) mapsLocked(v *View) {
	for _, o := range r.mu.running {
		if o.Device == nil || o.Store == nil {
			continue
		}
		m := MapView{OSD: o.ID, Path: o.Path}
		if f := r.mu.last[o.ID]; f != nil {
			m.Epoch, m.Score, m.Epochs = f.epoch, f.score, f.kept
		}
		v.Maps = append(v.Maps, m)
	}
}

// shownRequests is how many requests the page lists.
const shownRequests = 8

// slow lists the requests under way that are to be complained of, then the slowest
// lately.
func (v *View) slow(list []OSD) {
	for _, o := range list {
		if o.Requests == nil {
			continue
		}
		t := o.Requests()
		now := t.Slow()
		if now.Count > 0 {
			for _, x := range t.InFlight(now.Oldest / 2) {
				v.Slow = append(v.Slow, request(o.ID, &x, false))
			}
		}
		for _, x := range t.History() {
			v.Slow = append(v.Slow, request(o.ID, &x, true))
		}
	}
	slices.SortStableFunc(v.Slow, func(a, b Request) int {
		if a.Over != b.Over {
			if a.Over {
				return 1
			}
			return -1
		}
		return cmp.Compare(b.Took, a.Took)
	})
	v.Slow = v.Slow[:min(len(v.Slow), shownRequests)]
}

func request(osd int32, x *track.Record, over bool) Request {
	q := Request{OSD: osd, Text: x.String(), Took: x.Duration, Began: x.Began, Over: over, Slow: !over}
	for i, m := range x.Marks {
		if m.Stage == track.Done {
			break
		}
		end := x.Duration
		if i+1 < len(x.Marks) {
			end = x.Marks[i+1].At
		}
		s := StageTime{m.Stage.String(), end - m.At}
		q.Stages = append(q.Stages, s)
		if !over || s.Time >= q.Waited {
			q.Wait, q.Waited = s.Stage, s.Time
		}
	}
	return q
}

// judge says how everything is, in a few words.
func (v *View) judge() {
	v.Level, v.Verdict = Good, "Everything is well"
	bad := 0
	for _, h := range v.Hosts {
		for _, o := range h.OSDs {
			if o.Failed != "" {
				bad++
			}
		}
	}
	switch c := v.Cluster; {
	case bad > 0:
		v.Level, v.Verdict = Bad, count(bad, "store has", "stores have")+" stopped"
	case c == nil && !v.HasOSDs:
		v.Level, v.Verdict = Unknown, "Nothing runs here"
	case c == nil && v.Why != "":
		v.Level, v.Verdict = Warn, "Not serving"
	case c == nil:
		v.Verdict = "Serving"
	case c.Health == "HEALTH_ERR":
		v.Level, v.Verdict = Bad, "Action is needed"
	case c.Health == "HEALTH_WARN":
		v.Level = Warn
	}
	if v.Cluster == nil {
		return
	}
	v.Checks = slices.Clone(v.Cluster.Checks)
	slices.SortStableFunc(v.Checks, func(a, b mon.HealthCheck) int { return strings.Compare(a.Severity, b.Severity) }) // _ERR, _WARN
	errs, warns := 0, 0
	for _, c := range v.Checks {
		switch {
		case c.Muted:
		case c.Severity == "HEALTH_ERR":
			errs++
		default:
			warns++
		}
	}
	v.recovery()
	for i := range v.Cluster.Pools {
		v.ClientReads += v.Cluster.Pools[i].Rate.Reads
		v.ClientWrites += v.Cluster.Pools[i].Rate.Writes
	}
	if v.Level == Warn {
		v.Verdict = count(warns, "warning", "warnings")
	}
	if errs > 0 {
		v.Tally = count(errs, "error", "errors")
		if warns > 0 {
			v.Tally += ", " + count(warns, "warning", "warnings")
		}
	}
}

// recovery says how much is to be copied, how fast that goes, and how long it takes.
func (v *View) recovery() {
	u := v.Cluster.Usage
	left := u.Degraded + u.Misplaced
	if left+u.RecoveringObjects == 0 {
		return
	}
	v.Recovery = fmt.Sprintf("%s objects to copy", humanCount(left))
	if u.Unfound > 0 {
		v.Recovery += fmt.Sprintf(", %s of them unfound", humanCount(u.Unfound))
	}
	if u.RecoveringObjects > 0 {
		v.Recovery += fmt.Sprintf("; %s a second, %s/s, about %s left", humanCount(u.RecoveringObjects), humanBytes(u.RecoveringBytes), humanAge(time.Duration(left/u.RecoveringObjects)*time.Second))
	}
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// options are those of the cluster, then those of this process.
func (v *View) options(src *Source) {
	if v.Cluster != nil {
		v.Options = append(v.Options, v.Cluster.Options...)
	}
	if src.Options == nil {
		return
	}
	for _, s := range src.Options() {
		if s.Source == conf.Default {
			continue
		}
		o := mon.OptionValue{Name: s.Name, Value: s.Shown(), Source: s.Source.String(), Where: s.Where}
		if !slices.Contains(v.Options, o) {
			v.Options = append(v.Options, o)
		}
	}
}

// squares makes the squares of PGs.
func (v *View) squares() {
	c := v.Cluster
	room := maxSquares
	at := map[int64]int{}
	for i := range c.Pools {
		at[int64(c.Pools[i].ID)] = i
		v.Pools = append(v.Pools, PoolView{PoolStatus: c.Pools[i]})
	}
	place := func(p *mon.PGStatus) {
		i, ok := at[int64(p.ID.Pool)]
		if !ok {
			return
		}
		if room == 0 {
			v.Pools[i].More++
			return
		}
		room--
		v.Pools[i].Squares = append(v.Pools[i].Squares, square(p))
	}
	if len(c.PGs) <= maxSquares {
		for i := range c.PGs {
			place(&c.PGs[i])
		}
		return
	}
	for _, well := range []bool{false, true} {
		for i := range c.PGs {
			if (c.PGs[i].Severity == "") == well {
				place(&c.PGs[i])
			}
		}
	}
}

// square says how a PG looks.
func square(p *mon.PGStatus) Square {
	s := squareOfState(p.State)
	s.Name = p.Name
	if p.Severity == "HEALTH_ERR" {
		s.Level, s.Sign = Bad, "✕"
	}
	return s
}

// squareOfState says how PGs of a state look.
func squareOfState(state string) Square {
	s := Square{State: state, Level: Good, Sign: "·"}
	words := strings.Split(state, "+")
	has := func(any ...string) bool {
		return slices.ContainsFunc(any, func(w string) bool { return slices.Contains(words, w) })
	}
	switch {
	case has("inconsistent", "recovery_unfound", "backfill_unfound", "failed_repair", "snaptrim_error"):
		s.Level, s.Sign = Bad, "✕"
	case has("unknown"):
		s.Level, s.Sign = Unknown, "?"
	case has("stale") || !has("active"):
		s.Level, s.Sign = Warn, "!"
	case has("recovering", "backfilling", "recovery_wait", "backfill_wait"):
		s.Level, s.Sign = Busy, "↻"
	case has("undersized", "degraded"):
		s.Level, s.Sign = Warn, "−"
	case has("scrubbing"):
		s.Level, s.Sign = Busy, "s"
	case has("snaptrim", "snaptrim_wait"):
		s.Level, s.Sign = Busy, "t"
	}
	return s
}
