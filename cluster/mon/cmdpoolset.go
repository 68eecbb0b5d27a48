package mon

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

func init() {
	all := slices.Concat(poolVars, optionVars())
	add("osd", "rw", "osd pool set pool:CephPoolname var:CephChoices="+strings.Join(all, "|")+" val:CephString [yes_i_really_mean_it:CephBool]", "set a property of a pool", cmdPoolSet)
	add("osd", "r", "osd pool get pool:CephPoolname var:CephChoices="+strings.Join(all, "|")+"|all", "show a property of a pool", cmdPoolGet)
}

// poolVars are the settings that every pool has.
var poolVars = []string{"size", "min_size", "pg_num", "pgp_num", "crush_rule", "hashpspool", "nodelete", "nopgchange", "nosizechange", "write_fadvise_dontneed", "noscrub", "nodeep-scrub",
	"use_gmt_hitset", "fast_read", "pg_autoscale_mode", "bulk"}

// poolFlags are those that are flags.
var poolFlags = map[string]osdmap.PoolFlags{
	"hashpspool": osdmap.PoolHashPSPool, "nodelete": osdmap.PoolNoDelete, "nopgchange": osdmap.PoolNoPGChange,
	"nosizechange": osdmap.PoolNoSizeChange, "write_fadvise_dontneed": osdmap.PoolFadviseDontneed, "noscrub": osdmap.PoolNoScrub, "nodeep-scrub": osdmap.PoolNoDeepScrub, "bulk": osdmap.PoolBulk,
}

// poolOptions are settings that a pool may have besides: kept in the map for OSDs
// to read.
var poolOptions = []struct {
	name string
	kind osdmap.OptionKind
	// choices, if any, are the only values.
	choices []string
}{
	{"scrub_min_interval", osdmap.OptionDouble, nil}, {"scrub_max_interval", osdmap.OptionDouble, nil}, {"deep_scrub_interval", osdmap.OptionDouble, nil},
	{"recovery_priority", osdmap.OptionInt, nil}, {"recovery_op_priority", osdmap.OptionInt, nil}, {"scrub_priority", osdmap.OptionInt, nil},
	{"compression_mode", osdmap.OptionText, []string{"none", "passive", "aggressive", "force"}},
	{"compression_algorithm", osdmap.OptionText, []string{"none", "snappy", "zlib", "zstd", "lz4"}},
	{"compression_required_ratio", osdmap.OptionDouble, nil}, {"compression_max_blob_size", osdmap.OptionInt, nil}, {"compression_min_blob_size", osdmap.OptionInt, nil},
	{"pg_num_min", osdmap.OptionInt, nil}, {"pg_num_max", osdmap.OptionInt, nil}, {"target_size_bytes", osdmap.OptionInt, nil}, {"target_size_ratio", osdmap.OptionDouble, nil}, {"pg_autoscale_bias", osdmap.OptionDouble, nil},
}

func optionVars() (names []string) {
	for _, o := range poolOptions {
		names = append(names, o.name)
	}
	return names
}

var autoscaleModes = []string{"off", "warn", "on"}

func cmdPoolSet(c *call) error {
	v, _ := c.str("var")
	val, _ := c.str("val")
	var id ceph.PoolID
	err := c.change(func(ch *Change) (err error) {
		if id, err = c.pool(ch.State.OSD, "pool"); err != nil {
			return err
		}
		p := ch.Pool(id)
		if bit, ok := poolFlags[v]; ok {
			on, err := parseBool(val)
			if err != nil {
				return fail(ceph.EINVAL, "expecting value 'true', 'false', '0', or '1'")
			}
			if p.Flags &^= bit; on {
				p.Flags |= bit
			}
			return nil
		}
		if i := slices.Index(optionVars(), v); i >= 0 {
			return c.setOption(ch, p, i, val)
		}
		switch v {
		case "pg_autoscale_mode":
			i := slices.Index(autoscaleModes, val)
			if i < 0 {
				return fail(ceph.EINVAL, "specified invalid mode %s: off, warn or on", val)
			}
			p.Autoscale = uint8(i)
			return nil
		case "crush_rule":
			return c.setRule(ch, p, val)
		case "pg_num":
			return c.setPGNum(ch, id, val)
		case "pgp_num":
			return c.setPGPNum(ch, id, val)
		case "use_gmt_hitset", "fast_read":
			return fail(ceph.EOPNOTSUPP, "%s is of cache tiers and erasure codes, which are not offered", v)
		}
		return c.setNumber(ch, p, v, val)
	})
	c.text = fmt.Sprintf("set pool %d %s to %s", id, v, val)
	return err
}

func (c *call) setRule(ch *Change, p *osdmap.Pool, name string) error {
	cm, err := ch.CrushMap()
	if err != nil {
		return err
	}
	for rid := range cm.Rules {
		if cm.Rules[rid] != nil && cm.RuleNames[int32(rid)] == name {
			if cm.Rules[rid].Type != crush.Replicated {
				return fail(ceph.EINVAL, "crush rule %d type does not match pool", rid)
			}
			p.CrushRule = uint8(rid)
			return nil
		}
	}
	return fail(ceph.ENOENT, "crush rule %s does not exist", name)
}

// setOption sets one of poolOptions; 0, "" and "unset" take it back.
func (c *call) setOption(_ *Change, p *osdmap.Pool, i int, val string) error {
	o := poolOptions[i]
	x := osdmap.PoolOption{Key: osdmap.OptionKey(o.name), Kind: o.kind}
	unset := val == "" || val == "unset"
	switch o.kind {
	case osdmap.OptionText:
		x.Text = val
		if !unset && !slices.Contains(o.choices, val) {
			return fail(ceph.EINVAL, "unrecognized %s '%s': want one of %s", o.name, val, strings.Join(o.choices, ", "))
		}
	case osdmap.OptionInt:
		n, err := strconv.ParseInt(val, 10, 64)
		if err != nil && !unset || n < 0 && !strings.HasSuffix(o.name, "priority") {
			return fail(ceph.EINVAL, "error parsing int value '%s'", val)
		}
		x.Int, unset = n, unset || n == 0
	default:
		f, err := parseFloat(val)
		if err != nil && !unset || !(f >= 0 && f < 1e18) {
			return fail(ceph.EINVAL, "error parsing floating point value '%s'", val)
		}
		x.Double, unset = f, unset || f == 0
	}
	p.SetOption(x, unset)
	return nil
}

// setNumber sets one of the numbers that a pool is made of.
func (c *call) setNumber(ch *Change, p *osdmap.Pool, v, val string) error {
	n, err := strconv.ParseUint(val, 10, 32)
	if err != nil {
		return fail(ceph.EINVAL, "error parsing integer value '%s'", val)
	}
	if strings.HasSuffix(v, "size") && p.Flags&osdmap.PoolNoSizeChange != 0 {
		return fail(ceph.EPERM, "pool size change is disabled; you must unset nosizechange flag for the pool first")
	}
	switch v {
	case "size":
		if n < 1 || n > maxSize {
			return fail(ceph.EINVAL, "pool size must be between 1 and %d", maxSize)
		}
		if n == 1 && !c.m.cfg.Options.Bool("mon_allow_pool_size_one") {
			return errSizeOne
		}
		if n == 1 && !c.flag("yes_i_really_mean_it") {
			return fail(ceph.EPERM, "WARNING: setting pool size 1 could lead to data loss without recovery. If you are *ABSOLUTELY CERTAIN* that is what you want, pass the flag --yes-i-really-mean-it.")
		}
		p.Size = uint8(n)
		p.MinSize = min(p.MinSize, p.Size)
	case "min_size":
		if n < 1 || n > uint64(p.Size) {
			return fail(ceph.EINVAL, "pool min_size must be between 1 and size, which is set to %d", p.Size)
		}
		p.MinSize = uint8(n)
	}
	return nil
}

func parseBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is not true or false", s)
}

// value of a setting, and whether the pool has it.
func (c *call) poolValue(p *osdmap.Pool, cm *crush.Map, v string) (any, bool) {
	switch v {
	case "size":
		return p.Size, true
	case "min_size":
		return p.MinSize, true
	case "pg_num":
		return p.PGNum, true
	case "pgp_num":
		return p.PGPNum, true
	case "crush_rule":
		return cm.RuleNames[int32(p.CrushRule)], true
	case "pg_autoscale_mode":
		return autoscaleModes[min(p.Autoscale, 2)], true
	case "use_gmt_hitset":
		return p.GMTHitSet, true
	case "fast_read":
		if p.FastRead {
			return 1, true
		}
		return 0, true
	}
	if bit, ok := poolFlags[v]; ok {
		return p.Flags&bit != 0, true
	}
	return p.Option(osdmap.OptionKey(v))
}

func cmdPoolGet(c *call) error {
	id, err := c.pool(c.st.OSD, "pool")
	if err != nil {
		return err
	}
	cm, err := crush.Decode(c.st.OSD.Crush)
	if err != nil {
		return err
	}
	p := c.st.OSD.Pools[id]
	v, _ := c.str("var")
	vars := []string{v}
	if v == "all" {
		vars = slices.Concat(poolVars, optionVars())
	}
	out := map[string]any{"pool": c.st.OSD.PoolNames[id], "pool_id": id}
	var b strings.Builder
	for _, name := range vars {
		x, ok := c.poolValue(p, cm, name)
		if !ok && v == "all" {
			continue
		}
		if !ok {
			return fail(ceph.ENOENT, "option '%s' is not set on pool '%s'", name, c.st.OSD.PoolNames[id])
		}
		out[name] = x
		fmt.Fprintf(&b, "%s: %v\n", name, x)
	}
	return c.print(out, b.String)
}
