package mon

import (
	"fmt"
	"strconv"
	"strings"

	"ebofs/cluster/ceph"
)

func init() {
	add("osd", "rw", "osd pool set-quota pool:CephPoolname field:CephChoices=max_objects|max_bytes val:CephString", "limit a pool", cmdSetQuota)
	add("osd", "r", "osd pool get-quota pool:CephPoolname", "show the limits of a pool", cmdGetQuota)
	add("osd", "r", "osd pool stats [pool_name:CephPoolname]", "show what clients and recovery do to pools", cmdPoolStats)
}

func cmdSetQuota(c *call) error {
	field, _ := c.str("field")
	val, _ := c.str("val")
	n, err := strconv.ParseUint(val, 10, 64)
	if err != nil {
		return fail(ceph.EINVAL, "error parsing value '%s'", val)
	}
	name, _ := c.str("pool")
	c.text = fmt.Sprintf("set-quota %s = %d for pool %s", field, n, name)
	return c.change(func(ch *Change) error {
		id, err := c.pool(ch.State.OSD, "pool")
		if err != nil {
			return err
		}
		if p := ch.Pool(id); field == "max_bytes" {
			p.QuotaBytes = n
		} else {
			p.QuotaObjects = n
		}
		return nil
	})
}

func cmdGetQuota(c *call) error {
	id, err := c.pool(c.st.OSD, "pool")
	if err != nil {
		return err
	}
	p := c.st.OSD.Pools[id]
	o := c.m.stats.summary(c.st.OSD).Pools[id]
	show := func(n uint64, text, now string) string {
		if n == 0 {
			return "N/A"
		}
		return text + "  (current num " + now + ")"
	}
	return c.print(struct {
		Name       string      `json:"pool_name"`
		ID         ceph.PoolID `json:"pool_id"`
		MaxObjects uint64      `json:"quota_max_objects"`
		Objects    int64       `json:"current_num_objects"`
		MaxBytes   uint64      `json:"quota_max_bytes"`
		Bytes      int64       `json:"current_num_bytes"`
	}{c.st.OSD.PoolNames[id], id, p.QuotaObjects, o.Objects, p.QuotaBytes, o.Bytes}, func() string {
		return fmt.Sprintf("quotas for pool '%s':\n  max objects: %s\n  max bytes  : %s\n", c.st.OSD.PoolNames[id], show(p.QuotaObjects, objectsText(int64(p.QuotaObjects))+" objects", fmt.Sprintf("objects: %d objects", o.Objects)),
			show(p.QuotaBytes, bytesText(int64(p.QuotaBytes)), fmt.Sprintf("bytes: %d bytes", o.Bytes)))
	})
}

// cmdPoolStats shows what clients and recovery do to pools.
func cmdPoolStats(c *call) error {
	type io struct {
		ReadBytes  int64 `json:"read_bytes_sec,omitempty"`
		WriteBytes int64 `json:"write_bytes_sec,omitempty"`
		Reads      int64 `json:"read_op_per_sec,omitempty"`
		Writes     int64 `json:"write_op_per_sec,omitempty"`
	}
	type state struct {
		Degraded       int64   `json:"degraded_objects,omitempty"`
		DegradedTotal  int64   `json:"degraded_total,omitempty"`
		DegradedRatio  float64 `json:"degraded_ratio,omitempty"`
		Misplaced      int64   `json:"misplaced_objects,omitempty"`
		MisplacedTotal int64   `json:"misplaced_total,omitempty"`
		MisplacedRatio float64 `json:"misplaced_ratio,omitempty"`
	}
	type rate struct {
		Objects int64 `json:"recovering_objects_per_sec,omitempty"`
		Bytes   int64 `json:"recovering_bytes_per_sec,omitempty"`
		Keys    int64 `json:"recovering_keys_per_sec,omitempty"`
	}
	type pool struct {
		Name     string      `json:"pool_name"`
		ID       ceph.PoolID `json:"pool_id"`
		Recovery state       `json:"recovery"`
		Rate     rate        `json:"recovery_rate"`
		Client   io          `json:"client_io_rate"`
	}
	ids := sortedPools(c.st.OSD)
	if _, ok := c.str("pool_name"); ok {
		id, err := c.pool(c.st.OSD, "pool_name")
		if err != nil {
			return err
		}
		ids = []ceph.PoolID{id}
	}
	sum := c.m.stats.summary(c.st.OSD)
	out := []pool{}
	var b strings.Builder
	for _, id := range ids {
		o, r := sum.Pools[id], sum.Rates[id]
		p := pool{Name: c.st.OSD.PoolNames[id], ID: id, Rate: rate{r.RecoveredObjects, r.RecoveredBytes, r.RecoveredKeys}, Client: io{r.ReadKB << 10, r.WriteKB << 10, r.Reads, r.Writes}}
		if o.Degraded > 0 {
			p.Recovery.Degraded, p.Recovery.DegradedTotal, p.Recovery.DegradedRatio = o.Degraded, o.Copies, percent(o.Degraded, o.Copies)/100
		}
		if o.Misplaced > 0 {
			p.Recovery.Misplaced, p.Recovery.MisplacedTotal, p.Recovery.MisplacedRatio = o.Misplaced, o.Copies, percent(o.Misplaced, o.Copies)/100
		}
		out = append(out, p)
		fmt.Fprintf(&b, "pool %s id %d\n", p.Name, id)
		pm := pgMapJSON{ReadBytes: r.ReadKB << 10, WriteBytes: r.WriteKB << 10, Reads: r.Reads, Writes: r.Writes, Recovered: r.RecoveredObjects, RecoveredBytes: r.RecoveredBytes}
		quiet := true
		if o.Degraded > 0 {
			quiet = false
			fmt.Fprintf(&b, "  %d/%d objects degraded (%.3f%%)\n", o.Degraded, o.Copies, percent(o.Degraded, o.Copies))
		}
		if s := pm.recoveryIO(); s != "" {
			quiet = false
			fmt.Fprintf(&b, "  recovery io %s\n", s)
		}
		if s := pm.clientIO(); s != "" {
			quiet = false
			fmt.Fprintf(&b, "  client io %s\n", s)
		}
		if quiet {
			b.WriteString("  nothing is going on\n")
		}
		b.WriteByte('\n')
	}
	return c.print(out, b.String)
}
