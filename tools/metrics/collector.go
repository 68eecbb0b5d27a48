package metrics

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/metrics"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"ebofs/cluster/mon"
	"ebofs/ebofs"
	"ebofs/internal/perf"
	"ebofs/osd/daemon"
)

// Source is what a process has to tell of. Functions are called for each scrape,
// and return at once.
type Source struct {
	Daemon  string // as "osd.3"
	Version string
	Started time.Time
	Cluster func() *mon.Overview // nil: there is no monitor here
	OSDs    func() []OSD         // nil: there are none
	Now     func() time.Time     // default time.Now
}

// OSD is an OSD of this process.
type OSD struct {
	ID       int32
	Counters func() *daemon.Counters
	Store    *ebofs.Store // nil: it has another
}

// Handler returns what serves /metrics.
func Handler(s Source) http.Handler {
	return promhttp.HandlerFor(NewRegistry(s), promhttp.HandlerOpts{MaxRequestsInFlight: 4})
}

// NewRegistry returns a registry of a process's own.
func NewRegistry(s Source) *prometheus.Registry {
	if s.Now == nil {
		s.Now = time.Now
	}
	r := prometheus.NewRegistry()
	c := &collector{src: s, rows: map[string]row{}, space: map[int32]*lookedAt{}}
	for _, m := range Table() {
		c.rows[m.Name] = row{m, prometheus.NewDesc(m.Name, m.Help, m.Labels, nil)}
	}
	c.seen = map[[2]string]bool{}
	r.MustRegister(c, collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// row is a row of the table as the library wants it.
type row struct {
	Metric
	desc *prometheus.Desc
}

// collector tells what the source knows.
type collector struct {
	src  Source
	rows map[string]row

	mu    sync.Mutex
	space map[int32]*lookedAt
	seen  map[[2]string]bool // health checks that have been told: name, severity
}

// lookedAt is how free space lay a moment ago.
type lookedAt struct {
	at   time.Time
	free ebofs.FreeSpace
}

// lookAgain is how old that may be. A look at a store of a million free runs
// takes milliseconds; Prometheus comes every fifteen seconds.
const lookAgain = 15 * time.Second

// Describe implements prometheus.Collector: what there is depends on the source.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	t := &teller{c: c, ch: ch}
	s := c.src
	t.put("ebofs_build_info", 1, s.Daemon, runtime.Version(), s.Version)
	t.put("ebofs_uptime_seconds", s.Now().Sub(s.Started).Seconds())
	t.put("ebofs_goroutines", float64(runtime.NumGoroutine()))
	t.put("ebofs_heap_bytes", heapBytes())
	if s.Cluster != nil {
		c.cluster(t, s.Cluster())
	}
	if s.OSDs == nil {
		return
	}
	for _, o := range s.OSDs() {
		t.daemon = fmt.Sprintf("osd.%d", o.ID)
		if o.Counters != nil {
			c.osd(t, o.Counters())
		}
		if o.Store != nil {
			c.engine(t, o.ID, o.Store)
		}
	}
}

// heapBytes asks the runtime without stopping it.
func heapBytes() float64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(s)
	if s[0].Value.Kind() != metrics.KindUint64 {
		return 0
	}
	return float64(s[0].Value.Uint64())
}

// teller sends metrics that the table has (M1).
type teller struct {
	c      *collector
	ch     chan<- prometheus.Metric
	daemon string // of what is being told
}

func (t *teller) row(name string, labels []string) row {
	r, ok := t.c.rows[name]
	if !ok || len(labels) != len(r.Labels) {
		panic(fmt.Sprintf("metric %s with %d labels is not in the table", name, len(labels)))
	}
	return r
}

func (t *teller) put(name string, v float64, labels ...string) {
	r := t.row(name, labels)
	kind := prometheus.UntypedValue
	switch r.Type {
	case Gauge:
		kind = prometheus.GaugeValue
	case Counter:
		kind = prometheus.CounterValue
	}
	t.ch <- prometheus.MustNewConstMetric(r.desc, kind, v, labels...)
}

// own is put for the daemon that is being told of.
func (t *teller) own(name string, v float64, labels ...string) {
	t.put(name, v, slices.Insert(labels, 0, t.daemon)...)
}

// Bounds of histograms are powers of two nanoseconds, which the buckets of
// perf.Histogram end at: 16 µs to 17 s.
const firstBound, lastBound = 14, 34

func (t *teller) histogram(name string, s *perf.Snapshot, labels ...string) {
	labels = slices.Insert(labels, 0, t.daemon)
	r := t.row(name, labels)
	t.ch <- prometheus.MustNewConstHistogram(r.desc, s.Count, float64(s.Sum)/1e9, cumulate(s), labels...)
}

// cumulate counts the values up to each bound, which is in seconds.
func cumulate(s *perf.Snapshot) map[float64]uint64 {
	var counts [lastBound + 1]uint64
	s.Buckets(func(_, hi, n uint64) {
		for k := lastBound; k >= firstBound && hi < 1<<k; k-- {
			counts[k] += n
		}
	})
	buckets := map[float64]uint64{}
	for k := firstBound; k <= lastBound; k++ {
		buckets[float64(uint64(1)<<k)/1e9] = counts[k]
	}
	return buckets
}

// hostname is where this process runs.
func hostname() string {
	h, _ := os.Hostname()
	return h
}
