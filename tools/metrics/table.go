package metrics

import (
	"fmt"
	"io"
	"slices"
	"strings"
)

// Type is how a metric behaves.
type Type string

// The types. Untyped is what Ceph calls some of its gauges.
const (
	Gauge     Type = "gauge"
	Counter   Type = "counter"
	Histogram Type = "histogram"
	Untyped   Type = "untyped"
	Summary   Type = "summary"
)

// Metric is a row of the table.
type Metric struct {
	Name   string
	Type   Type
	Labels []string
	Unit   string // "" for a count or a state
	From   string // which daemon tells it: monitor, OSD, engine (of an OSD), process
	Help   string
}

// Ceph reports whether the name is Ceph's.
func (m *Metric) Ceph() bool { return strings.HasPrefix(m.Name, "ceph_") }

// Ours reports whether the name is our own, neither Ceph's nor of the library.
func (m *Metric) Ours() bool { return strings.HasPrefix(m.Name, "ebofs_") }

var (
	none     = []string(nil)
	byDaemon = []string{"ceph_daemon"}
	byPool   = []string{"pool_id"}
)

// pgStates are the states that have a metric each, as in Ceph.
var pgStates = []string{
	"active", "clean", "down", "recovery_unfound", "backfill_unfound", "scrubbing", "degraded", "inconsistent", "peering", "repair", "recovering",
	"forced_recovery", "backfill_wait", "incomplete", "stale", "remapped", "deep", "backfilling", "forced_backfill", "backfill_toofull", "recovery_wait",
	"recovery_toofull", "undersized", "activating", "peered", "snaptrim", "snaptrim_wait", "snaptrim_error", "creating", "unknown", "premerge",
	"failed_repair", "laggy", "wait",
}

// osdFlags are the flags of the OSD map that have a metric each, as in Ceph.
var osdFlags = []string{"noup", "nodown", "noout", "noin", "nobackfill", "norebalance", "norecover", "noscrub", "nodeep-scrub"}

// Table returns every metric there is, by name.
func Table() []Metric {
	list := slices.Concat(ofMonitor, ofOSD, ofEngine, ofProcess)
	for _, s := range pgStates {
		list = append(list, Metric{"ceph_pg_" + s, Gauge, byPool, "", "monitor", "PGs of a pool that are " + s})
	}
	for _, f := range osdFlags {
		list = append(list, Metric{"ceph_osd_flag_" + strings.ReplaceAll(f, "-", "_"), Untyped, none, "", "monitor", "1 if " + f + " is set"})
	}
	for _, k := range []struct{ name, what string }{{"op", "client requests"}, {"op_r", "client reads"}, {"op_w", "client writes"}, {"op_rw", "client requests that read and write"}} {
		list = append(list, Metric{"ceph_osd_" + k.name, Counter, byDaemon, "", "OSD", k.what + " that were answered"})
		if k.name != "op_r" {
			list = append(list, Metric{"ceph_osd_" + k.name + "_in_bytes", Counter, byDaemon, "bytes", "OSD", "bytes that " + k.what + " brought"})
		}
		if k.name != "op_w" {
			list = append(list, Metric{"ceph_osd_" + k.name + "_out_bytes", Counter, byDaemon, "bytes", "OSD", "bytes that were answered to " + k.what})
		}
		for _, l := range []struct{ name, what string }{
			{"latency", "from arrival to reply"}, {"process_latency", "without the time in queues"}, {"prepare_latency", "without queues and without the wait for the log"},
		} {
			list = append(list,
				Metric{"ceph_osd_" + k.name + "_" + l.name + "_sum", Counter, byDaemon, "seconds", "OSD", "time of " + k.what + ", " + l.what},
				Metric{"ceph_osd_" + k.name + "_" + l.name + "_count", Counter, byDaemon, "", "OSD", "how many are in the sum"})
		}
	}
	slices.SortFunc(list, func(a, b Metric) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// ofMonitor are those of the cluster, which the manager has in Ceph.
var ofMonitor = []Metric{
	{"ceph_health_status", Untyped, none, "", "monitor", "0 HEALTH_OK, 1 HEALTH_WARN, 2 HEALTH_ERR"},
	{"ceph_health_detail", Gauge, []string{"name", "severity"}, "", "monitor", "1 for each health check that does not pass, 0 once it passes again"},
	{"ceph_healthcheck_slow_ops", Gauge, none, "", "monitor", "OSD requests that have been under way for too long"},
	{"ceph_mon_quorum_status", Gauge, byDaemon, "", "monitor", "1 if the monitor is in the quorum"},
	{"ceph_mon_metadata", Untyped, []string{"ceph_daemon", "ceph_version", "hostname", "public_addr", "rank"}, "", "monitor", "1; where a monitor is"},
	{"ceph_osd_metadata", Untyped, []string{"back_iface", "ceph_daemon", "ceph_version", "cluster_addr", "device_class", "front_iface", "hostname", "objectstore", "public_addr"}, "", "monitor", "1; where an OSD is, and what"},
	{"ceph_disk_occupation", Untyped, []string{"ceph_daemon", "db_device", "device", "device_ids", "devices", "instance", "wal_device"}, "", "monitor", "1; which device an OSD has, to join with node_exporter"},
	{"ceph_disk_occupation_human", Untyped, []string{"ceph_daemon", "device", "instance"}, "", "monitor", "1; which device an OSD has"},
	{"ceph_osd_up", Untyped, byDaemon, "", "monitor", "1 if the OSD is up"},
	{"ceph_osd_in", Untyped, byDaemon, "", "monitor", "1 if the OSD is in"},
	{"ceph_osd_weight", Untyped, byDaemon, "", "monitor", "how much of the OSD is in, 0 to 1 (reweight)"},
	{"ceph_osd_apply_latency_ms", Gauge, byDaemon, "milliseconds", "monitor", "mean apply latency the OSD reported"},
	{"ceph_osd_commit_latency_ms", Gauge, byDaemon, "milliseconds", "monitor", "mean commit latency the OSD reported"},
	{"ceph_pool_metadata", Untyped, []string{"compression_mode", "description", "name", "pool_id", "type"}, "", "monitor", "1; name and kind of a pool"},
	{"ceph_pg_total", Gauge, byPool, "", "monitor", "PGs of a pool"},
	{"ceph_cluster_total_bytes", Gauge, none, "bytes", "monitor", "size of all OSDs that are in"},
	{"ceph_cluster_total_used_bytes", Gauge, none, "bytes", "monitor", "of it, used"},
	{"ceph_cluster_total_used_raw_bytes", Gauge, none, "bytes", "monitor", "of it, used, with what copies and metadata take"},
	{"ceph_num_objects_degraded", Gauge, none, "", "monitor", "objects with too few copies"},
	{"ceph_num_objects_misplaced", Gauge, none, "", "monitor", "objects that are not where the map wants them"},
	{"ceph_num_objects_unfound", Gauge, none, "", "monitor", "objects of which no good copy is known"},
	{"ceph_pool_stored", Gauge, byPool, "bytes", "monitor", "what clients stored in a pool"},
	{"ceph_pool_stored_raw", Gauge, byPool, "bytes", "monitor", "likewise, all copies"},
	{"ceph_pool_bytes_used", Gauge, byPool, "bytes", "monitor", "space a pool takes, all copies"},
	{"ceph_pool_percent_used", Gauge, byPool, "", "monitor", "share of the space a pool could have that it uses, 0 to 1"},
	{"ceph_pool_max_avail", Gauge, byPool, "bytes", "monitor", "what can still be stored in a pool"},
	{"ceph_pool_avail_raw", Gauge, byPool, "bytes", "monitor", "likewise, all copies"},
	{"ceph_pool_objects", Gauge, byPool, "", "monitor", "objects in a pool"},
	{"ceph_pool_dirty", Gauge, byPool, "", "monitor", "objects a cache pool would have to flush"},
	{"ceph_pool_quota_bytes", Gauge, byPool, "bytes", "monitor", "quota of a pool, 0 for none"},
	{"ceph_pool_quota_objects", Gauge, byPool, "", "monitor", "quota of a pool, 0 for none"},
	{"ceph_pool_rd", Counter, byPool, "", "monitor", "reads"},
	{"ceph_pool_rd_bytes", Counter, byPool, "bytes", "monitor", "bytes read"},
	{"ceph_pool_wr", Counter, byPool, "", "monitor", "writes"},
	{"ceph_pool_wr_bytes", Counter, byPool, "bytes", "monitor", "bytes written"},
	{"ceph_pool_recovering_objects_per_sec", Gauge, byPool, "", "monitor", "objects that are copied to where they belong, a second"},
	{"ceph_pool_recovering_bytes_per_sec", Gauge, byPool, "bytes", "monitor", "bytes of them"},
	{"ceph_pool_recovering_keys_per_sec", Gauge, byPool, "", "monitor", "omap keys of them"},
	{"ceph_pool_num_objects_recovered", Gauge, byPool, "", "monitor", "objects that were copied to where they belong"},
	{"ceph_pool_num_bytes_recovered", Gauge, byPool, "bytes", "monitor", "bytes of them"},
	{"ceph_pool_objects_repaired", Counter, byPool, "", "monitor", "objects that were repaired"},
	{"ebofs_monitor_osdmap_epoch", Gauge, none, "", "monitor", "epoch of the OSD map"},
}

// ofOSD are those of one OSD, beside the ones Table makes for each kind of request.
var ofOSD = []Metric{
	{"ceph_osd_op_wip", Gauge, byDaemon, "", "OSD", "client requests under way"},
	{"ceph_osd_numpg", Gauge, byDaemon, "", "OSD", "PGs this OSD has"},
	{"ceph_osd_stat_bytes", Gauge, byDaemon, "bytes", "OSD", "size of the store"},
	{"ceph_osd_stat_bytes_used", Gauge, byDaemon, "bytes", "OSD", "of it, used"},
	{"ebofs_osd_request_duration_seconds", Histogram, []string{"ceph_daemon", "kind"}, "seconds", "OSD", "client requests from arrival to reply; kind is read, write or readwrite"},
	{"ebofs_osd_slow_requests", Gauge, byDaemon, "", "OSD", "client requests that have been under way for too long"},
	{"ebofs_osd_slowest_request_seconds", Gauge, byDaemon, "seconds", "OSD", "age of the oldest of them, 0 if there is none"},
	{"ebofs_osd_map_messages_total", Counter, byDaemon, "", "OSD", "messages with OSD maps"},
	{"ebofs_osd_map_epochs_total", Counter, byDaemon, "", "OSD", "epochs in them"},
	{"ebofs_osd_delayed_for_map_total", Counter, byDaemon, "", "OSD", "requests that waited for a map"},
}

// ofEngine are those of an OSD's store.
var ofEngine = []Metric{
	{"ebofs_commit_duration_seconds", Histogram, byDaemon, "seconds", "engine", "transactions, from the call until they are durable"},
	{"ebofs_queue_wait_seconds", Histogram, byDaemon, "seconds", "engine", "of it, until its turn came and there was room for it"},
	{"ebofs_read_duration_seconds", Histogram, byDaemon, "seconds", "engine", "reads of data from the device: what the cache has is not among them"},
	{"ebofs_log_flush_duration_seconds", Histogram, byDaemon, "seconds", "engine", "flushes of the log's device"},
	{"ebofs_checkpoint_duration_seconds", Histogram, byDaemon, "seconds", "engine", "checkpoints; transactions go on meanwhile"},
	{"ebofs_transactions_total", Counter, byDaemon, "", "engine", "transactions"},
	{"ebofs_user_bytes_total", Counter, byDaemon, "bytes", "engine", "data, keys and values that transactions brought: what written bytes are compared with"},
	{"ebofs_written_bytes_total", Counter, []string{"ceph_daemon", "purpose"}, "bytes", "engine", "bytes written to devices by purpose, each byte under one: direct, log, fold, tree, value, space, cleaning, padding, super"},
	{"ebofs_io_calls_total", Counter, []string{"ceph_daemon", "class"}, "", "engine", "reads and writes of the main device by what they are for: log, read, data, checkpoint, clean, scrub"},
	{"ebofs_io_bytes_total", Counter, []string{"ceph_daemon", "class"}, "bytes", "engine", "bytes of them"},
	{"ebofs_io_wait_seconds_total", Counter, []string{"ceph_daemon", "class"}, "seconds", "engine", "time they stood back so that others went first: only checkpoint, clean and scrub do"},
	{"ebofs_read_bytes_total", Counter, byDaemon, "bytes", "engine", "bytes of data read from the device"},
	{"ebofs_cache_hits_total", Counter, byDaemon, "", "engine", "blocks of data that were in the cache"},
	{"ebofs_cache_misses_total", Counter, byDaemon, "", "engine", "blocks of data that were not"},
	{"ebofs_retried_reads_total", Counter, byDaemon, "", "engine", "reads that were right only when repeated: the device begins to fail"},
	{"ebofs_checksum_errors_total", Counter, byDaemon, "", "engine", "blocks that stayed wrong"},
	{"ebofs_given_up_total", Counter, byDaemon, "", "engine", "nodes, objects and zones marked as damaged since the store was opened"},
	{"ebofs_partial_stripe_writes_total", Counter, byDaemon, "", "engine", "writes of data that began or ended inside a stripe"},
	{"ebofs_dirty_bytes", Gauge, byDaemon, "bytes", "engine", "changes in RAM that the next checkpoint puts in place; they are in the log"},
	{"ebofs_dirty_onodes", Gauge, byDaemon, "", "engine", "objects they belong to"},
	{"ebofs_free_bytes", Gauge, byDaemon, "bytes", "engine", "space that can be given out"},
	{"ebofs_limbo_bytes", Gauge, byDaemon, "bytes", "engine", "space that was freed and is part of a durable checkpoint still"},
	{"ebofs_free_runs", Gauge, []string{"ceph_daemon", "bytes"}, "", "engine", "free runs by length: from so many bytes to twice that"},
	{"ebofs_largest_free_run_bytes", Gauge, byDaemon, "bytes", "engine", "the longest of them"},
	{"ebofs_fragmentation_score", Gauge, byDaemon, "", "engine", "share of free space outside of whole free stripes: 0 is best"},
	{"ebofs_discarded_bytes_total", Counter, byDaemon, "bytes", "engine", "bytes freed and discarded since"},
	{"ebofs_defrag_running", Gauge, byDaemon, "", "engine", "1 while free space is being brought together"},
	{"ebofs_defrag_moved_bytes_total", Counter, byDaemon, "bytes", "engine", "bytes moved for that"},
	{"ebofs_store_ok", Gauge, byDaemon, "", "engine", "1 while the store takes changes; 0: a device has failed, and it is read-only until it is opened anew"},
	{"ebofs_checkpoint_epoch", Gauge, byDaemon, "", "engine", "number of the newest durable checkpoint"},
}

// ofProcess are those of the process, as the library for Go names them.
var ofProcess = []Metric{
	{"ebofs_build_info", Gauge, []string{"daemon", "go", "version"}, "", "process", "1; what runs"},
	{"ebofs_uptime_seconds", Gauge, none, "seconds", "process", "since the process started to serve"},
	{"ebofs_goroutines", Gauge, none, "", "process", "goroutines"},
	{"ebofs_heap_bytes", Gauge, none, "bytes", "process", "bytes of objects on Go's heap, dead ones not yet found included"},
	{"process_cpu_seconds_total", Counter, none, "seconds", "process", "CPU time, user and system"},
	{"process_open_fds", Gauge, none, "", "process", "open file descriptors"},
	{"process_max_fds", Gauge, none, "", "process", "how many there may be"},
	{"process_virtual_memory_bytes", Gauge, none, "bytes", "process", "virtual memory"},
	{"process_virtual_memory_max_bytes", Gauge, none, "bytes", "process", "how much there may be, -1 for no limit"},
	{"process_resident_memory_bytes", Gauge, none, "bytes", "process", "memory in RAM"},
	{"process_start_time_seconds", Gauge, none, "seconds", "process", "when the process was started, since 1970"},
	{"process_network_receive_bytes_total", Counter, none, "bytes", "process", "bytes received in the process's network namespace"},
	{"process_network_transmit_bytes_total", Counter, none, "bytes", "process", "bytes sent in the process's network namespace"},
}

// WriteDocs writes the table as docs/metrics.md.
func WriteDocs(w io.Writer) error {
	var b strings.Builder
	b.WriteString(`# Metrics

Every metric there is at /metrics, and nothing else is. Names that begin with ` + "`ceph_`" + ` have the names, types and labels of Ceph 16.2's
manager, so that published dashboards and alerts work; ours begin with ` + "`ebofs_`" + `. This page is written from the table in
` + "`tools/metrics`" + ` by its test; alerts are in packaging/prometheus, a dashboard is in packaging/grafana.

A monitor tells of the cluster, an OSD of itself and of its store (the engine), each of its process; ` + "`ebofs demo`" + `, which is all of them, tells everything.
`)
	from := ""
	list := Table()
	order := []string{"monitor", "OSD", "engine", "process"}
	slices.SortStableFunc(list, func(a, b Metric) int { return slices.Index(order, a.From) - slices.Index(order, b.From) })
	for _, m := range list {
		if m.From != from {
			from = m.From
			fmt.Fprintf(&b, "\n## Of the %s\n\n| name | type | labels | unit | meaning |\n| --- | --- | --- | --- | --- |\n", from)
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.Name, m.Type, strings.Join(m.Labels, ", "), m.Unit, m.Help)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
