package ebofs

import (
	"sync/atomic"
	"time"

	"ebofs/allocator"
	"ebofs/devices"
	"ebofs/ebofs/wal"
	"ebofs/internal/perf"
)

// counters are what the store counts while it runs.
type counters struct {
	Transactions, Checkpoints, CheckpointNanos    atomic.Int64
	UserBytes                                     atomic.Int64
	written                                       written
	ReadBytes, ReadHits, ReadMisses, RetriedReads atomic.Int64
	Corruptions, GivenUp, PartialStripes          atomic.Int64
	Discarded                                     atomic.Int64
	ReplayRecords, ReplayBytes, ReplayNanos       atomic.Int64
}

// Metrics is a picture of a store's counters.
type Metrics struct {
	Transactions    int64
	Checkpoints     int64
	CheckpointNanos int64
	UserBytes       int64 // data, keys and values that transactions brought
	Written         Written
	ReadBytes       int64 // data read from the device
	ReadHits        int64 // blocks of data found in the cache
	ReadMisses      int64
	RetriedReads    int64 // reads that were right only when repeated
	Corruptions     int64 // blocks that stayed wrong
	GivenUp         int64 // nodes, objects and zones marked damaged
	PartialStripes  int64 // writes of data or nodes that began or ended inside a stripe
	Discarded       int64 // bytes freed and discarded since, but by Trim
	ReplayRecords   int64 // of the log, applied by the mount
	ReplayBytes     int64 // of the log, read by the mount
	ReplayNanos     int64
	DirtyOnodes     int
	DirtyBytes      int64
	FreeBlocks      uint64
	LimboBlocks     uint64
	Log             wal.Metrics
}

// Metrics returns the counters as they are now.
func (s *Store) Metrics() Metrics {
	c := &s.metrics
	m := Metrics{
		Transactions: c.Transactions.Load(), Checkpoints: c.Checkpoints.Load(), CheckpointNanos: c.CheckpointNanos.Load(),
		UserBytes: c.UserBytes.Load(),
		ReadBytes: c.ReadBytes.Load(), ReadHits: c.ReadHits.Load(), ReadMisses: c.ReadMisses.Load(),
		RetriedReads: c.RetriedReads.Load(), Corruptions: c.Corruptions.Load(), GivenUp: c.GivenUp.Load(), PartialStripes: c.PartialStripes.Load(),
	}
	for p := range m.Written {
		m.Written[p] = c.written[p].Load()
	}
	m.Discarded = c.Discarded.Load()
	m.ReplayRecords, m.ReplayBytes, m.ReplayNanos = c.ReplayRecords.Load(), c.ReplayBytes.Load(), c.ReplayNanos.Load()
	w := s.dirty.pressure()
	m.DirtyOnodes, m.DirtyBytes = w.onodes, w.data+w.heap
	n := s.space.counts()
	m.FreeBlocks, m.LimboBlocks = n.free, n.limbo
	if s.wal != nil {
		m.Log = s.wal.Metrics()
		m.Written[WriteLog] += int64(m.Log.Bytes - m.Log.PaddingBytes)
		m.Written[WritePadding] += int64(m.Log.PaddingBytes)
	}
	return m
}

// Devices returns the devices behind the store's scheduler: what is done through
// them stands back as the class of its context says, and counts there. log is
// nil if the ring lies on main.
func (s *Store) Devices() (main, log *devices.Scheduler) { return s.sched, s.logSched }

// Latencies are how long things took since the store was opened, in nanoseconds.
type Latencies struct {
	Commit     perf.Histogram // from the call of Apply or Queue until the transaction is durable
	QueueWait  perf.Histogram // of it, until its turn came and there was room for it
	Read       perf.Histogram // reads of data from the device; what the cache has costs too little to be measured
	LogFlush   perf.Histogram // flushes of the log's device
	Checkpoint perf.Histogram
	Stages     [Stages]perf.Histogram // of one transaction in eight
}

// Latencies returns the histograms, which go on counting.
func (s *Store) Latencies() *Latencies { return &s.lat }

func since(h *perf.Histogram, begin time.Time) { h.Record(uint64(time.Since(begin))) }

// countStripes counts a write of data or nodes that costs a parity array a read, if it had
// one: it does not begin and end where stripes do.
func (s *Store) countStripes(start, blocks uint64) {
	stripe := s.space.stripe
	begin := start + stripe - s.space.stripeAt
	if begin%stripe != 0 || (begin+blocks)%stripe != 0 {
		s.metrics.PartialStripes.Add(1)
	}
}

// FreeSpace is how free space lies.
type FreeSpace struct {
	Runs    allocator.FreeRuns
	Largest uint64  // blocks of the longest run known
	Score   float64 // 0 is best: all of it in whole stripes
}

// Score is FreeSpace's, without a look at any zone.
func (s *Store) Score() float64 {
	s.space.mu.Lock()
	defer s.space.mu.Unlock()
	return s.space.a.Score()
}

// FreeSpace looks at all zones that are in RAM, one after the other: what is
// allocated meanwhile may be seen or not.
func (s *Store) FreeSpace() FreeSpace { return s.space.freeSpace() }

func (s *space) freeSpace() (f FreeSpace) {
	var runs []allocator.Extent
	for z := 0; ; z++ {
		s.mu.Lock()
		if z == s.a.Zones() {
			f.Score = s.a.Score()
			s.mu.Unlock()
			return f
		}
		var err error
		if runs, err = s.a.RunsOf(z, runs[:0]); err != nil {
			f.Runs.UnknownZones++
			f.Runs.UnknownBlocks += uint64(s.a.Summary(z).Free)
		}
		s.mu.Unlock()
		for _, r := range runs {
			f.Runs.Add(r)
			f.Largest = max(f.Largest, r.Blocks)
		}
	}
}
