package daemon

import (
	"sync/atomic"
	"time"

	"ebofs/cluster/msg"
	"ebofs/internal/perf"
	"ebofs/osd/track"
)

// Counters is what an OSD has done since it started, and how it is now. The names
// of Ceph's counters are in perfDump.
type Counters struct {
	WIP                    int // client requests under way
	Read, Write, ReadWrite Requests
	PGs                    int // all of them as primary

	TotalBytes, UsedBytes, AvailBytes uint64

	MapMessages, MapEpochs uint64
	DelayedForMap          uint64 // requests that waited for a map
	CopyFrom               uint64
	Trimmed                uint64        // objects of which deleted snapshots were dropped
	Scrubbed               uint64        // objects checked
	SlowNow                int           // requests under way for too long
	SlowOldest             time.Duration // age of the oldest
}

// Requests is what was done for requests of one kind.
type Requests struct {
	Count, InBytes, OutBytes uint64
	LatencyNanos             perf.Snapshot // from arrival to reply
	ProcessNanos             uint64        // sum, without the time in queues
	PrepareNanos             uint64        // sum, without waiting for commit either
}

// requests counts requests of one kind; any number of goroutines may.
type requests struct {
	in, out          atomic.Uint64
	latency          perf.Histogram
	process, prepare atomic.Uint64
}

func (r *requests) add(t track.Times, in, out int) {
	r.in.Add(uint64(in))
	r.out.Add(uint64(out))
	r.process.Add(uint64(t.Process))
	r.prepare.Add(uint64(t.Prepare))
	r.latency.Record(uint64(max(t.Total, 0)))
}

func (r *requests) snapshot(s *Requests) {
	r.latency.Snapshot(&s.LatencyNanos)
	s.Count, s.InBytes, s.OutBytes = s.LatencyNanos.Count, r.in.Load(), r.out.Load()
	s.ProcessNanos, s.PrepareNanos = r.process.Load(), r.prepare.Load()
}

// counters is what an OSD counts as it goes.
type counters struct {
	read, write, both       requests
	mapMessages, mapEpochs  atomic.Uint64
	delayedForMap, copyFrom atomic.Uint64
	trimmed, scrubbed       atomic.Uint64
}

// finished counts a request that has been answered.
func (c *counters) finished(w *arrival, r *msg.OSDOpReply, t track.Times) {
	out := 0
	for i := range r.Ops {
		out += len(r.Ops[i].Data)
	}
	for i := range w.req.Ops {
		if k := w.req.Ops[i].Code; k == msg.OpCopyFrom || k == msg.OpCopyFrom2 {
			c.copyFrom.Add(1)
		}
	}
	switch {
	case w.reads && w.writes:
		c.both.add(t, w.input, out)
	case w.writes:
		c.write.add(t, w.input, 0)
	default:
		c.read.add(t, 0, out)
	}
}

// Requests returns who knows the requests under way and the slowest lately.
func (o *OSD) Requests() *track.Tracker { return o.track }

// Counters returns what the OSD has counted. It is 25 KiB: hand it on by pointer.
func (o *OSD) Counters() *Counters {
	c := &Counters{
		WIP: o.track.Count(), MapMessages: o.count.mapMessages.Load(), MapEpochs: o.count.mapEpochs.Load(),
		DelayedForMap: o.count.delayedForMap.Load(), CopyFrom: o.count.copyFrom.Load(), Trimmed: o.count.trimmed.Load(), Scrubbed: o.count.scrubbed.Load(),
	}
	o.count.read.snapshot(&c.Read)
	o.count.write.snapshot(&c.Write)
	o.count.both.snapshot(&c.ReadWrite)
	slow := o.track.Slow()
	c.SlowNow, c.SlowOldest = slow.Count, slow.Oldest
	o.mu.Lock()
	c.PGs = len(o.mu.pgs)
	o.mu.Unlock()
	if st, err := o.cfg.Store.Statfs(o.ctx); err == nil {
		c.TotalBytes, c.UsedBytes, c.AvailBytes = st.TotalBytes, st.TotalBytes-st.FreeBytes, st.FreeBytes
	}
	return c
}

// average is a counter with its number, as `perf dump` shows it.
type average struct {
	Count uint64  `json:"avgcount"`
	Sum   float64 `json:"sum"`
	Mean  float64 `json:"avgtime"`
}

func newAverage(count, nanos uint64) average {
	a := average{Count: count, Sum: float64(nanos) / 1e9}
	if count > 0 {
		a.Mean = a.Sum / float64(count)
	}
	return a
}

// perfDump is the answer of `perf dump`: the counters under Ceph's names. Those of
// Ceph that nothing here could count are left out.
func (o *OSD) perfDump() map[string]map[string]any {
	c := o.Counters()
	m := map[string]any{
		"op_wip": c.WIP, "numpg": c.PGs, "numpg_primary": c.PGs, "numpg_replica": 0, "numpg_stray": 0,
		"stat_bytes": c.TotalBytes, "stat_bytes_used": c.UsedBytes, "stat_bytes_avail": c.AvailBytes,
		"map_messages": c.MapMessages, "map_message_epochs": c.MapEpochs, "messages_delayed_for_map": c.DelayedForMap, "copyfrom": c.CopyFrom,
	}
	var all Requests
	for _, k := range []struct {
		name string
		r    *Requests
	}{{"op_r", &c.Read}, {"op_w", &c.Write}, {"op_rw", &c.ReadWrite}, {"op", &all}} {
		r, n := k.r, k.name
		m[n] = r.Count
		if n != "op_r" {
			m[n+"_in_bytes"] = r.InBytes
		}
		if n != "op_w" {
			m[n+"_out_bytes"] = r.OutBytes
		}
		m[n+"_latency"] = newAverage(r.Count, r.LatencyNanos.Sum)
		m[n+"_process_latency"] = newAverage(r.Count, r.ProcessNanos)
		m[n+"_prepare_latency"] = newAverage(r.Count, r.PrepareNanos)
		all.Count += r.Count
		all.InBytes += r.InBytes
		all.OutBytes += r.OutBytes
		all.LatencyNanos.Sum += r.LatencyNanos.Sum
		all.ProcessNanos += r.ProcessNanos
		all.PrepareNanos += r.PrepareNanos
	}
	return map[string]map[string]any{"osd": m, "ebofs-osd": {"slow_ops": c.SlowNow, "scrubbed": c.Scrubbed, "trimmed": c.Trimmed}}
}
