package metrics

import (
	"fmt"

	"ebofs/devices"
	"ebofs/ebofs"
	"ebofs/internal/perf"
	"ebofs/osd/daemon"
)

// osd tells what an OSD has counted.
func (c *collector) osd(t *teller, k *daemon.Counters) {
	all := daemon.Requests{}
	for _, x := range []struct {
		name, kind string
		r          *daemon.Requests
	}{{"op_r", "read", &k.Read}, {"op_w", "write", &k.Write}, {"op_rw", "readwrite", &k.ReadWrite}} {
		requests(t, x.name, x.r)
		t.histogram("ebofs_osd_request_duration_seconds", &x.r.LatencyNanos, x.kind)
		all.Count += x.r.Count
		all.InBytes += x.r.InBytes
		all.OutBytes += x.r.OutBytes
		all.LatencyNanos.Merge(&x.r.LatencyNanos)
		all.ProcessNanos += x.r.ProcessNanos
		all.PrepareNanos += x.r.PrepareNanos
	}
	requests(t, "op", &all)
	t.own("ceph_osd_op_wip", float64(k.WIP))
	t.own("ceph_osd_numpg", float64(k.PGs))
	t.own("ceph_osd_stat_bytes", float64(k.TotalBytes))
	t.own("ceph_osd_stat_bytes_used", float64(k.UsedBytes))
	t.own("ebofs_osd_slow_requests", float64(k.SlowNow))
	t.own("ebofs_osd_slowest_request_seconds", k.SlowOldest.Seconds())
	t.own("ebofs_osd_map_messages_total", float64(k.MapMessages))
	t.own("ebofs_osd_map_epochs_total", float64(k.MapEpochs))
	t.own("ebofs_osd_delayed_for_map_total", float64(k.DelayedForMap))
}

// requests tells what is known of one kind of requests under Ceph's names.
func requests(t *teller, name string, r *daemon.Requests) {
	name = "ceph_osd_" + name
	n := float64(r.Count)
	t.own(name, n)
	if name != "ceph_osd_op_r" {
		t.own(name+"_in_bytes", float64(r.InBytes))
	}
	if name != "ceph_osd_op_w" {
		t.own(name+"_out_bytes", float64(r.OutBytes))
	}
	for _, l := range []struct {
		name  string
		nanos uint64
	}{{"_latency", r.LatencyNanos.Sum}, {"_process_latency", r.ProcessNanos}, {"_prepare_latency", r.PrepareNanos}} {
		t.own(name+l.name+"_sum", float64(l.nanos)/1e9)
		t.own(name+l.name+"_count", n)
	}
}

// engine tells what a store has counted.
func (c *collector) engine(t *teller, id int32, s *ebofs.Store) {
	m := s.Metrics()
	l := s.Latencies()
	for _, x := range []struct {
		name string
		h    *perf.Histogram
	}{
		{"ebofs_commit_duration_seconds", &l.Commit}, {"ebofs_queue_wait_seconds", &l.QueueWait}, {"ebofs_read_duration_seconds", &l.Read},
		{"ebofs_log_flush_duration_seconds", &l.LogFlush}, {"ebofs_checkpoint_duration_seconds", &l.Checkpoint},
	} {
		var snap perf.Snapshot
		x.h.Snapshot(&snap)
		t.histogram(x.name, &snap)
	}
	for _, x := range []struct {
		name string
		v    float64
	}{
		{"ebofs_transactions_total", float64(m.Transactions)}, {"ebofs_user_bytes_total", float64(m.UserBytes)},
		{"ebofs_read_bytes_total", float64(m.ReadBytes)}, {"ebofs_cache_hits_total", float64(m.ReadHits)}, {"ebofs_cache_misses_total", float64(m.ReadMisses)},
		{"ebofs_retried_reads_total", float64(m.RetriedReads)}, {"ebofs_checksum_errors_total", float64(m.Corruptions)}, {"ebofs_given_up_total", float64(m.GivenUp)},
		{"ebofs_partial_stripe_writes_total", float64(m.PartialStripes)}, {"ebofs_dirty_bytes", float64(m.DirtyBytes)}, {"ebofs_dirty_onodes", float64(m.DirtyOnodes)},
		{"ebofs_free_bytes", float64(m.FreeBlocks) * devices.BlockSize}, {"ebofs_limbo_bytes", float64(m.LimboBlocks) * devices.BlockSize},
		{"ebofs_store_ok", truth(s.Err() == nil)}, {"ebofs_checkpoint_epoch", float64(s.Superblock().Epoch)},
	} {
		t.own(x.name, x.v)
	}
	t.own("ebofs_discarded_bytes_total", float64(m.Discarded))
	running, moved := s.Defragmenting()
	t.own("ebofs_defrag_running", truth(running))
	t.own("ebofs_defrag_moved_bytes_total", float64(moved))
	for p, n := range m.Written {
		t.own("ebofs_written_bytes_total", float64(n), ebofs.Purpose(p).String())
	}
	main, _ := s.Devices()
	for class := range devices.Class(devices.NumClasses) {
		x := main.Class(class)
		t.own("ebofs_io_calls_total", float64(x.Calls), class.String())
		t.own("ebofs_io_bytes_total", float64(x.Bytes), class.String())
		t.own("ebofs_io_wait_seconds_total", float64(x.WaitNanos)/1e9, class.String())
	}
	c.freeSpace(t, id, s)
}

func (c *collector) freeSpace(t *teller, id int32, s *ebofs.Store) {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.space[id]
	if now := c.src.Now(); l == nil || now.Sub(l.at) >= lookAgain {
		l = &lookedAt{now, s.FreeSpace()}
		c.space[id] = l
	}
	for k, n := range l.free.Runs.Runs {
		if n > 0 {
			t.own("ebofs_free_runs", float64(n), fmt.Sprint(uint64(devices.BlockSize)<<k))
		}
	}
	t.own("ebofs_largest_free_run_bytes", float64(l.free.Largest)*devices.BlockSize)
	t.own("ebofs_fragmentation_score", l.free.Score)
}
