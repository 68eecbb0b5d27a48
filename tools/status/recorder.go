package status

import (
	"sync"
	"time"

	"ebofs/cluster/ceph"
	"ebofs/cluster/mon"
	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/internal/perf"
	"ebofs/osd/daemon"
)

// keptPoints is ten minutes by the second.
const keptPoints = 600

// all is the key of points of all OSDs together.
const all = int32(-1)

// latency is one second of one kind of work: how often, and how long it took.
type latency struct {
	Rate     float64 // a second
	P50, P99 float64 // seconds; 0 if nothing happened
}

// point is one second of an OSD, or of all.
type point struct {
	At                  time.Time
	Write, Read, Commit latency
}

// mark is a moment at which the map of the OSDs changed.
type mark struct {
	At    time.Time
	Epoch ceph.Epoch // 0: not known here
}

// figures is what was read of one OSD.
type figures struct {
	at       time.Time
	counters *daemon.Counters
	store    *ebofs.Metrics
	commit   *perf.Snapshot // of the store
	score    float64
	total    uint64 // bytes of the store's device
	epoch    uint64 // of its newest checkpoint
	kept     []KeptView
	failed   string
	wrong    bool // it is stopped
}

// recorder reads figures once a second and keeps what became of them.
type recorder struct {
	src *Source

	again time.Time // when the cluster is asked next; used by second alone

	mu struct {
		sync.Mutex
		cluster  *mon.Overview
		last     map[int32]*figures // the newest of each OSD
		reading  map[int32]bool     // somebody is at it; a store that hangs keeps him
		points   map[int32][]point  // at most keptPoints each
		marks    []mark
		mapMoves uint64 // epochs that OSDs got, in a process without a monitor
		running  []OSD
		notReady string // why a process without a monitor does not serve
	}
	readers sync.WaitGroup
}

func newRecorder(src *Source) *recorder {
	r := &recorder{src: src}
	r.mu.last, r.mu.reading, r.mu.points = map[int32]*figures{}, map[int32]bool{}, map[int32][]point{}
	return r
}

// patience is how long a second waits for the figures of its OSDs.
const patience = 300 * time.Millisecond

// second reads everything anew. It is called by one goroutine.
func (r *recorder) second() {
	now := r.src.Now()
	cluster, asked := r.ask()
	why := ""
	if r.src.Cluster == nil && r.src.Ready != nil {
		if err := r.src.Ready(); err != nil {
			why = err.Error()
		}
	}
	var list []OSD
	if r.src.OSDs != nil {
		list = r.src.OSDs()
	}
	fresh := r.readAll(list)

	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.mu.cluster
	r.mu.running, r.mu.notReady = list, why
	if asked {
		r.mu.cluster = cluster
	}
	if asked && cluster != nil && old != nil && cluster.Epoch != old.Epoch {
		r.markLocked(mark{now, cluster.Epoch})
	}
	sum := delta{}
	moves := uint64(0)
	runs := map[int32]bool{}
	for _, o := range list {
		runs[o.ID] = true
		f := fresh[o.ID]
		if f == nil {
			continue // it did not answer in time
		}
		if f.counters != nil {
			moves += f.counters.MapEpochs
		}
		if d, ok := since(r.mu.last[o.ID], f); ok {
			r.addLocked(o.ID, d.point(f.at))
			sum.add(d)
		}
		r.mu.last[o.ID] = f
	}
	for id := range r.mu.last {
		if !runs[id] {
			delete(r.mu.last, id) // stopped: it begins anew from zero
		}
	}
	if r.src.Cluster == nil && moves > r.mu.mapMoves {
		if r.mu.mapMoves > 0 {
			r.markLocked(mark{now, 0})
		}
		r.mu.mapMoves = moves
	}
	if sum.seconds > 0 {
		r.addLocked(all, sum.point(now))
	}
}

// clusterShare is how much of the time may go into asking the cluster: an overview of
// tens of thousands of PGs takes a while, and nothing of it is urgent.
const clusterShare = 0.02

// ask asks the cluster, unless it has just taken long to answer.
func (r *recorder) ask() (c *mon.Overview, asked bool) {
	begin := time.Now()
	if r.src.Cluster == nil || begin.Before(r.again) {
		return nil, false
	}
	c = r.src.Cluster()
	took := time.Since(begin)
	if r.again = begin.Add(time.Duration(float64(took) / clusterShare)); took < 20*time.Millisecond {
		r.again = begin
	}
	return c, true
}

// readAll reads the figures of each OSD, side by side, of those that answer soon.
func (r *recorder) readAll(list []OSD) map[int32]*figures {
	type answer struct {
		id int32
		f  *figures
	}
	answers := make(chan answer, len(list))
	asked := 0
	for _, o := range list {
		r.mu.Lock()
		busy := r.mu.reading[o.ID]
		r.mu.reading[o.ID] = true
		r.mu.Unlock()
		if busy {
			continue
		}
		asked++
		r.readers.Go(func() {
			f := read(o, r.src.Now)
			r.mu.Lock()
			delete(r.mu.reading, o.ID)
			r.mu.Unlock()
			answers <- answer{o.ID, f}
		})
	}
	fresh := map[int32]*figures{}
	t := time.NewTimer(patience)
	defer t.Stop()
	for range asked {
		select {
		case a := <-answers:
			fresh[a.id] = a.f
		case <-t.C:
			return fresh
		}
	}
	return fresh
}

// read reads the figures of one OSD.
func read(o OSD, now func() time.Time) *figures {
	f := &figures{}
	if o.Counters != nil {
		f.counters = o.Counters()
	}
	if o.Store != nil {
		m := o.Store.Metrics()
		f.store, f.commit = &m, &perf.Snapshot{}
		o.Store.Latencies().Commit.Snapshot(f.commit)
		sb := o.Store.Superblock()
		f.total, f.epoch, f.score = sb.Blocks*devices.BlockSize, sb.Epoch, o.Store.Score()
		_, kept := o.Store.KeptEpochs()
		for _, k := range kept {
			f.kept = append(f.kept, KeptView{k.Epoch(), k.Written})
		}
		if err := o.Store.Err(); err != nil {
			f.failed, f.wrong = err.Error(), true
		}
	}
	f.at = now()
	return f
}

func (r *recorder) markLocked(m mark) {
	r.mu.marks = append(r.mu.marks, m)
	if n := len(r.mu.marks); n > keptPoints {
		r.mu.marks = append(r.mu.marks[:0], r.mu.marks[n-keptPoints:]...)
	}
}

func (r *recorder) addLocked(id int32, p point) {
	list := append(r.mu.points[id], p)
	if n := len(list); n > keptPoints {
		copy(list, list[n-keptPoints:])
		list = list[:keptPoints]
	}
	r.mu.points[id] = list
}

// delta is what happened between two readings.
type delta struct {
	seconds             float64
	write, read, commit perf.Snapshot
}

// since returns what happened since old; false if there is nothing to compare with.
func since(old, f *figures) (d *delta, ok bool) {
	if old == nil {
		return nil, false
	}
	d = &delta{seconds: f.at.Sub(old.at).Seconds()}
	if d.seconds <= 0 {
		return nil, false
	}
	if a, b := old.counters, f.counters; a != nil && b != nil {
		if b.Write.Count < a.Write.Count || b.Read.Count < a.Read.Count || b.ReadWrite.Count < a.ReadWrite.Count {
			return nil, false // it was started anew
		}
		d.write, d.read = b.Write.LatencyNanos, b.Read.LatencyNanos
		d.write.Merge(&b.ReadWrite.LatencyNanos)
		before := a.Write.LatencyNanos
		before.Merge(&a.ReadWrite.LatencyNanos)
		d.write.Sub(&before)
		d.read.Sub(&a.Read.LatencyNanos)
	}
	if old.commit != nil && f.commit != nil {
		if f.commit.Count < old.commit.Count {
			return nil, false
		}
		d.commit = *f.commit
		d.commit.Sub(old.commit)
	}
	return d, true
}

// add adds what happened elsewhere at the same time.
func (d *delta) add(o *delta) {
	d.seconds = max(d.seconds, o.seconds)
	d.write.Merge(&o.write)
	d.read.Merge(&o.read)
	d.commit.Merge(&o.commit)
}

func (d *delta) point(at time.Time) point {
	l := func(s *perf.Snapshot) latency {
		return latency{float64(s.Count) / d.seconds, float64(s.Quantile(0.5)) / 1e9, float64(s.Quantile(0.99)) / 1e9}
	}
	return point{at, l(&d.write), l(&d.read), l(&d.commit)}
}
