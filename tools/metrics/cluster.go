package metrics

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"ebofs/cluster/mon"
)

// cluster tells what a monitor knows.
func (c *collector) cluster(t *teller, v *mon.Overview) {
	t.put("ceph_health_status", float64(max(0, slices.Index([]string{"HEALTH_OK", "HEALTH_WARN", "HEALTH_ERR"}, v.Health))))
	c.health(t, v)
	t.put("ebofs_monitor_osdmap_epoch", float64(v.Epoch))
	for _, m := range v.Monitors {
		name := "mon." + m.Name
		t.put("ceph_mon_quorum_status", truth(m.Quorum), name)
		host := ""
		if m.Name == v.Name {
			host = hostname()
		}
		t.put("ceph_mon_metadata", 1, name, v.Version, host, m.Addr, fmt.Sprint(m.Rank))
	}
	for _, f := range osdFlags {
		t.put("ceph_osd_flag_"+strings.ReplaceAll(f, "-", "_"), truth(slices.Contains(v.Flags, f)))
	}
	for i := range v.OSDs {
		osdOfMap(t, &v.OSDs[i])
	}
	u := v.Usage
	t.put("ceph_cluster_total_bytes", float64(u.Total))
	t.put("ceph_cluster_total_used_bytes", float64(u.Used))
	t.put("ceph_cluster_total_used_raw_bytes", float64(u.Used))
	t.put("ceph_num_objects_degraded", float64(u.Degraded))
	t.put("ceph_num_objects_misplaced", float64(u.Misplaced))
	t.put("ceph_num_objects_unfound", float64(u.Unfound))
	states := map[string]map[string]int{}
	for i := range v.PGs {
		p := &v.PGs[i]
		id := fmt.Sprint(p.ID.Pool)
		if states[id] == nil {
			states[id] = map[string]int{}
		}
		for s := range strings.SplitSeq(p.State, "+") {
			states[id][s]++
		}
	}
	for i := range v.Pools {
		p := &v.Pools[i]
		id := fmt.Sprint(p.ID)
		pool(t, id, p)
		for _, s := range pgStates {
			t.put("ceph_pg_"+s, float64(states[id][s]), id)
		}
	}
}

// health tells checks, and of those that have passed again that they have: a
// metric that vanishes looks to an alert as if nobody was asked.
func (c *collector) health(t *teller, v *mon.Overview) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := map[[2]string]bool{}
	for _, x := range v.Checks {
		now[[2]string{x.Code, x.Severity}] = true
		c.seen[[2]string{x.Code, x.Severity}] = true
	}
	for k := range c.seen {
		t.put("ceph_health_detail", truth(now[k]), k[0], k[1])
	}
	slow := 0
	for _, x := range v.Checks {
		if x.Code == "SLOW_OPS" {
			slow = max(1, len(x.Detail))
			_, _ = fmt.Sscanf(x.Summary, "%d", &slow) // "3 slow ops, oldest one blocked for 42 sec"
		}
	}
	t.put("ceph_healthcheck_slow_ops", float64(slow))
}

func osdOfMap(t *teller, o *mon.OSDStatus) {
	name := fmt.Sprintf("osd.%d", o.ID)
	t.put("ceph_osd_up", truth(o.Up), name)
	t.put("ceph_osd_in", truth(o.In), name)
	t.put("ceph_osd_weight", o.Reweight, name)
	t.put("ceph_osd_apply_latency_ms", float64(o.Apply), name)
	t.put("ceph_osd_commit_latency_ms", float64(o.Commit), name)
	m := o.Meta
	t.put("ceph_osd_metadata", 1, m["back_iface"], name, m["ceph_version"], hostOf(o.Cluster), o.Class, m["front_iface"], m["hostname"], m["osd_objectstore"], hostOf(o.Addr))
	dev := cmp.Or(m["bluestore_bdev_dev_node"], m["ebofs_device"])
	if dev == "" {
		return // it did not say
	}
	t.put("ceph_disk_occupation", 1, name, m["bluefs_db_dev_node"], dev, cmp.Or(m["device_ids"], "N/A"), cmp.Or(m["devices"], "N/A"), m["hostname"], cmp.Or(m["bluefs_wal_dev_node"], m["ebofs_log_device"]))
	t.put("ceph_disk_occupation_human", 1, name, dev, m["hostname"])
}

// hostOf cuts the port off an address, as Ceph does here.
func hostOf(addr string) string {
	if a, err := netip.ParseAddrPort(addr); err == nil {
		return a.Addr().String()
	}
	return addr
}

func pool(t *teller, id string, p *mon.PoolStatus) {
	s, size := &p.Sum, float64(max(p.Size, 1))
	t.put("ceph_pool_metadata", 1, "none", fmt.Sprintf("replica:%d", p.Size), p.Name, id, p.Type)
	for _, x := range []struct {
		name string
		v    float64
	}{
		{"ceph_pg_total", float64(p.PGs)},
		{"ceph_pool_stored", float64(p.Stored)}, {"ceph_pool_stored_raw", float64(p.Used)}, {"ceph_pool_bytes_used", float64(p.Used)},
		{"ceph_pool_max_avail", float64(p.MaxAvail)}, {"ceph_pool_avail_raw", float64(p.MaxAvail) * size},
		{"ceph_pool_percent_used", share(float64(p.Used), float64(p.Used)+float64(p.MaxAvail)*size)},
		{"ceph_pool_objects", float64(s.Objects)}, {"ceph_pool_dirty", float64(s.Dirty)},
		{"ceph_pool_quota_bytes", float64(p.QuotaBytes)}, {"ceph_pool_quota_objects", float64(p.QuotaObjects)},
		{"ceph_pool_rd", float64(s.Reads)}, {"ceph_pool_rd_bytes", float64(s.ReadKB) * 1024},
		{"ceph_pool_wr", float64(s.Writes)}, {"ceph_pool_wr_bytes", float64(s.WriteKB) * 1024},
		{"ceph_pool_recovering_objects_per_sec", float64(p.Rate.RecoveredObjects)}, {"ceph_pool_recovering_bytes_per_sec", float64(p.Rate.RecoveredBytes)}, {"ceph_pool_recovering_keys_per_sec", float64(p.Rate.RecoveredKeys)},
		{"ceph_pool_num_objects_recovered", float64(s.RecoveredObjects)}, {"ceph_pool_num_bytes_recovered", float64(s.RecoveredBytes)},
		{"ceph_pool_objects_repaired", float64(s.Repaired)},
	} {
		t.put(x.name, x.v, id)
	}
}

func share(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return part / whole
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
