package daemon

// counterKind is what a counter is, as `perf schema` tells programs that show
// counters: the numbers are Ceph's.
type counterKind struct {
	Type     int    `json:"type"`
	Metric   string `json:"metric_type"`
	Value    string `json:"value_type"`
	Text     string `json:"description"`
	Nick     string `json:"nick"`     // for narrow columns
	Priority int    `json:"priority"` // 5 and more: shown to people
	Unit     string `json:"units"`
}

func gauge(priority int, nick, unit, text string) counterKind {
	return counterKind{2, "gauge", "integer", text, nick, priority, unit}
}

func counter(priority int, nick, unit, text string) counterKind {
	return counterKind{10, "counter", "integer", text, nick, priority, unit}
}

func mean(priority int, nick, text string) counterKind {
	return counterKind{5, "gauge", "real-integer-pair", text, nick, priority, "none"}
}

// schema is what perfDump has.
var schema = map[string]map[string]counterKind{
	"osd": {
		"op_wip": gauge(5, "", "none", "client requests under way"),
		"op":     counter(10, "ops", "none", "client requests"), "op_in_bytes": counter(8, "wr", "bytes", "bytes that client requests brought"),
		"op_out_bytes": counter(8, "rd", "bytes", "bytes that client requests got"), "op_latency": mean(9, "l", "client requests, from arrival to reply"),
		"op_process_latency": mean(5, "", "client requests, without queues"), "op_prepare_latency": mean(5, "", "client requests, without queues and commit"),
		"op_r": counter(5, "", "none", "reads"), "op_r_out_bytes": counter(5, "", "bytes", "bytes read"), "op_r_latency": mean(5, "", "reads, from arrival to reply"),
		"op_r_process_latency": mean(5, "", "reads, without queues"), "op_r_prepare_latency": mean(5, "", "reads, without queues and commit"),
		"op_w": counter(5, "", "none", "writes"), "op_w_in_bytes": counter(5, "", "bytes", "bytes written"), "op_w_latency": mean(5, "", "writes, from arrival to reply"),
		"op_w_process_latency": mean(5, "", "writes, without queues"), "op_w_prepare_latency": mean(5, "", "writes, without queues and commit"),
		"op_rw": counter(5, "", "none", "requests that read and write"), "op_rw_in_bytes": counter(5, "", "bytes", "bytes they brought"),
		"op_rw_out_bytes": counter(5, "", "bytes", "bytes they got"), "op_rw_latency": mean(5, "", "requests that read and write, from arrival to reply"),
		"op_rw_process_latency": mean(5, "", "requests that read and write, without queues"), "op_rw_prepare_latency": mean(5, "", "requests that read and write, without queues and commit"),
		"numpg": gauge(5, "pgs", "none", "placement groups that are served"), "numpg_primary": gauge(0, "", "none", "of them as primary"),
		"numpg_replica": gauge(0, "", "none", "of them as replica"), "numpg_stray": gauge(0, "", "none", "of them to be deleted"),
		"stat_bytes": gauge(5, "size", "bytes", "size of the store"), "stat_bytes_used": gauge(5, "used", "bytes", "used space"), "stat_bytes_avail": gauge(0, "", "bytes", "space for new data"),
		"map_messages": counter(0, "", "none", "messages with OSD maps"), "map_message_epochs": counter(0, "", "none", "OSD maps taken over"),
		"messages_delayed_for_map": counter(0, "", "none", "requests that waited for a map"), "copyfrom": counter(0, "", "none", "copies of objects"),
	},
	"ebofs-osd": {
		"slow_ops": gauge(5, "slow", "none", "client requests under way for too long"), "scrubbed": counter(0, "", "none", "objects that scrubs checked"),
		"trimmed": counter(0, "", "none", "objects of which deleted snapshots were dropped"),
	},
}
