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
	add("osd", "rw", "osd pool create pool:CephPoolname [pg_num:CephInt=0] [pgp_num:CephInt=0] [pool_type:CephChoices=replicated|erasure] [erasure_code_profile:CephString=[A-Za-z0-9-_.]] [rule:CephString] [size:CephInt=0|10] [autoscale_mode:CephChoices=on|off|warn]",
		"create pool", cmdPoolCreate)
	add("osd", "rw", "osd pool rm pool:CephPoolname [pool2:CephPoolname] [yes_i_really_really_mean_it:CephBool] [yes_i_really_really_mean_it_not_faking:CephBool]", "remove pool", cmdPoolRm)
	add("osd", "rw", "osd pool delete pool:CephPoolname [pool2:CephPoolname] [yes_i_really_really_mean_it:CephBool] [yes_i_really_really_mean_it_not_faking:CephBool]", "delete pool", cmdPoolRm)
	add("osd", "r", "osd pool ls [detail:CephChoices=detail]", "list pools", cmdPoolLs)
	add("osd", "r", "osd lspools", "list pools", cmdLsPools)
	add("osd", "rw", "osd pool rename srcpool:CephPoolname destpool:CephPoolname", "rename <srcpool> to <destpool>", cmdPoolRename)
	add("osd", "rw", "osd pool set pool:CephPoolname var:CephChoices="+strings.Join(poolVars, "|")+" val:CephString [yes_i_really_mean_it:CephBool]", "set pool parameter <var> to <val>", cmdPoolSet)
	add("osd", "r", "osd pool get pool:CephPoolname var:CephChoices="+strings.Join(poolVars, "|")+"|all", "get pool parameter <var>", cmdPoolGet)
	add("osd", "rw", "osd pool set-quota pool:CephPoolname field:CephChoices=max_objects|max_bytes val:CephString", "set object or byte limit on pool", cmdSetQuota)
	add("osd", "r", "osd pool get-quota pool:CephPoolname", "obtain object or byte limits for pool", cmdGetQuota)
	add("osd", "rw", "osd pool mksnap pool:CephPoolname snap:CephString", "make snapshot <snap> in <pool>", func(c *call) error { return c.snap(true) })
	add("osd", "rw", "osd pool rmsnap pool:CephPoolname snap:CephString", "remove snapshot <snap> from <pool>", func(c *call) error { return c.snap(false) })
	add("osd", "rw", "osd pool application enable pool:CephPoolname app:CephString [yes_i_really_mean_it:CephBool]", "enable use of an application <app> [cephfs,rbd,rgw] on pool <poolname>", cmdAppEnable)
	add("osd", "rw", "osd pool application disable pool:CephPoolname app:CephString [yes_i_really_mean_it:CephBool]", "disables use of an application <app> on pool <poolname>", cmdAppDisable)
	add("osd", "r", "osd pool application get [pool:CephPoolname]", "get value of key <key> of application <app> on pool <poolname>", cmdAppGet)
}

// poolVars are the settings of pools that can be read and changed.
var poolVars = []string{"size", "min_size", "pg_num", "pgp_num", "crush_rule", "hashpspool", "nodelete", "nopgchange", "nosizechange", "noscrub", "nodeep-scrub", "pg_autoscale_mode"}

// poolFlags are those that are flags.
var poolFlags = map[string]osdmap.PoolFlags{
	"hashpspool": osdmap.PoolHashPSPool, "nodelete": osdmap.PoolNoDelete, "nopgchange": osdmap.PoolNoPGChange,
	"nosizechange": osdmap.PoolNoSizeChange, "noscrub": osdmap.PoolNoScrub, "nodeep-scrub": osdmap.PoolNoDeepScrub,
}

const (
	maxPGs  = 65536 // of one pool: what a map stays quick with
	maxSize = 10    // of a pool, as Ceph has it; it stands in the ranges of commands, too
)

// pool returns the pool that an argument names.
func (c *call) pool(m *osdmap.Map, arg string) (ceph.PoolID, error) {
	name, _ := c.str(arg)
	id, ok := poolByName(m, name)
	if !ok {
		return 0, fail(ceph.ENOENT, "unrecognized pool '%s'", name)
	}
	return id, nil
}

func cmdPoolCreate(c *call) error {
	name, _ := c.str("pool")
	kind, _ := c.str("pool_type")
	if _, ec := c.str("erasure_code_profile"); kind == "erasure" || ec {
		return fail(ceph.EOPNOTSUPP, "erasure-coded pools are not offered in this release")
	}
	pgs := c.num("pg_num", 0)
	if pgs == 0 {
		pgs = c.m.cfg.Options.Int("osd_pool_default_pg_num")
	}
	pgp := c.num("pgp_num", pgs)
	if name == "" || pgs > maxPGs || pgp > pgs || pgp == 0 {
		return fail(ceph.EINVAL, "pool '%s' with pg_num %d, pgp_num %d: want a name, 1 to %d PGs and pgp_num ≤ pg_num", name, pgs, pgp, maxPGs)
	}
	existed := false
	err := c.change(func(ch *Change) error {
		if _, existed = poolByName(ch.State.OSD, name); existed {
			return nil
		}
		rule, _ := c.str("rule")
		p, err := c.m.newPool(ch, name, rule, uint8(c.num("size", 0)), uint32(pgs), uint32(pgp))
		if err != nil {
			return err
		}
		if mode, ok := c.str("autoscale_mode"); ok {
			p.Autoscale = uint8(slices.Index([]string{"off", "warn", "on"}, mode))
		}
		return nil
	})
	c.text = fmt.Sprintf("pool '%s' %s", name, word(existed, "already exists", "created"))
	return err
}

// newPool adds a pool. Without a rule it gets the first one for replicas, with a
// size of 0 that of the options.
func (m *Monitor) newPool(ch *Change, name, rule string, size uint8, pgs, pgp uint32) (*osdmap.Pool, error) {
	cm, err := ch.CrushMap()
	if err != nil {
		return nil, err
	}
	r, err := findRule(cm, rule)
	if err != nil {
		return nil, err
	}
	inc := ch.Inc()
	p := osdmap.NewPool()
	p.Type, p.CrushRule = crush.Replicated, uint8(r)
	p.Size, p.MinSize = size, size-size/2
	if size == 0 {
		p.Size, p.MinSize = m.defaultSize()
	}
	if p.Size == 1 && !m.cfg.Options.Bool("mon_allow_pool_size_one") {
		return nil, errSizeOne
	}
	p.PGNum, p.PGPNum, p.PGNumTarget, p.PGPNumTarget, p.PGNumPending = pgs, pgp, pgs, pgp, pgs
	p.LastChange, p.Created = inc.Epoch, ch.Now
	id := ceph.PoolID(ch.State.OSD.PoolMax + 1)
	inc.PoolMax = int64(id)
	inc.Pools = map[ceph.PoolID]*osdmap.Pool{id: p}
	inc.PoolNames = map[ceph.PoolID]string{id: name}
	ch.createPGs(id, p)
	return p, nil
}

// findRule finds the rule a pool is to use, the first for replicas without a name.
func findRule(cm *crush.Map, name string) (int, error) {
	for id, r := range cm.Rules {
		if r == nil {
			continue
		}
		if name != "" && cm.RuleNames[int32(id)] == name || name == "" && r.Type == crush.Replicated {
			return id, nil
		}
	}
	if name != "" {
		return 0, fail(ceph.ENOENT, "specified rule %s doesn't exist", name)
	}
	return 0, fail(ceph.ENOENT, "there is no rule for replicated pools")
}

// defaultSize is how many copies a pool that names none gets, and how many of them
// must be there.
func (m *Monitor) defaultSize() (size, least uint8) {
	n := m.cfg.Options.Int("osd_pool_default_size")
	if n < 1 || n > maxSize {
		n = 3
	}
	least = uint8(n - n/2)
	if l := m.cfg.Options.Int("osd_pool_default_min_size"); l > 0 && l <= n {
		least = uint8(l)
	}
	return uint8(n), least
}

// What the monitor's options forbid.
var (
	errSizeOne  = fail(ceph.EPERM, "configuring pool size as 1 is disabled by default.")
	errNoDelete = fail(ceph.EPERM, "pool deletion is disabled; you must first set the mon_allow_pool_delete config option to true before you can destroy a pool")
)

func cmdPoolRm(c *call) error {
	name, _ := c.str("pool")
	again, _ := c.str("pool2")
	if again != name || !c.flag("yes_i_really_really_mean_it") && !c.flag("yes_i_really_really_mean_it_not_faking") {
		return fail(ceph.EPERM, "WARNING: this will *PERMANENTLY DESTROY* all data stored in pool %s.  If you are *ABSOLUTELY CERTAIN* that is what you want, pass the pool name *twice*, followed by --yes-i-really-really-mean-it.", name)
	}
	existed := false
	err := c.change(func(ch *Change) error {
		id, ok := poolByName(ch.State.OSD, name)
		if existed = ok; !ok {
			return nil
		}
		return c.m.dropPool(ch, id)
	})
	c.text = fmt.Sprintf("pool '%s' %s", name, word(existed, "removed", "does not exist"))
	return err
}

// dropPool removes a pool with all that is in it, if that is allowed.
func (m *Monitor) dropPool(ch *Change, id ceph.PoolID) error {
	if !m.cfg.Options.Bool("mon_allow_pool_delete") {
		return errNoDelete
	}
	if ch.State.OSD.Pools[id].Flags&osdmap.PoolNoDelete != 0 {
		return fail(ceph.EPERM, "pool deletion is disabled; you must unset nodelete flag for the pool first")
	}
	ch.Inc().OldPools = []ceph.PoolID{id}
	ch.Delete(creatingKey(id))
	return nil
}

func cmdPoolLs(c *call) error {
	names := []string{}
	for _, id := range sortedPools(c.st.OSD) {
		names = append(names, c.st.OSD.PoolNames[id])
	}
	if _, detail := c.str("detail"); detail {
		d, err := c.st.OSD.Dump()
		if err != nil {
			return err
		}
		return c.print(d.Pools, func() string {
			var b strings.Builder
			for _, id := range sortedPools(c.st.OSD) {
				p := c.st.OSD.Pools[id]
				fmt.Fprintf(&b, "pool %d '%s' replicated size %d min_size %d crush_rule %d pg_num %d pgp_num %d last_change %d\n", id, c.st.OSD.PoolNames[id], p.Size, p.MinSize, p.CrushRule, p.PGNum, p.PGPNum, p.LastChange)
			}
			return b.String()
		})
	}
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

func cmdLsPools(c *call) error {
	type pool struct {
		ID   ceph.PoolID `json:"poolnum"`
		Name string      `json:"poolname"`
	}
	list := []pool{}
	var b strings.Builder
	for _, id := range sortedPools(c.st.OSD) {
		list = append(list, pool{id, c.st.OSD.PoolNames[id]})
		fmt.Fprintf(&b, "%d %s\n", id, c.st.OSD.PoolNames[id])
	}
	return c.print(list, b.String)
}

func cmdPoolRename(c *call) error {
	from, _ := c.str("srcpool")
	to, _ := c.str("destpool")
	err := c.change(func(ch *Change) error {
		id, ok := poolByName(ch.State.OSD, from)
		if !ok {
			if _, done := poolByName(ch.State.OSD, to); done {
				return nil // asked twice
			}
			return fail(ceph.ENOENT, "unrecognized pool '%s'", from)
		}
		if _, taken := poolByName(ch.State.OSD, to); taken {
			return fail(ceph.EEXIST, "pool '%s' already exists", to)
		}
		ch.Inc().PoolNames = map[ceph.PoolID]string{id: to}
		return nil
	})
	c.text = fmt.Sprintf("pool '%s' renamed to '%s'", from, to)
	return err
}

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
				return fail(ceph.EINVAL, "%s: %v", v, err)
			}
			if p.Flags &^= bit; on {
				p.Flags |= bit
			}
			return nil
		}
		if v == "pg_autoscale_mode" {
			i := slices.Index([]string{"off", "warn", "on"}, val)
			if i < 0 {
				return fail(ceph.EINVAL, "pg_autoscale_mode: %q is not off, warn or on", val)
			}
			p.Autoscale = uint8(i)
			return nil
		}
		if v == "crush_rule" {
			cm, err := ch.CrushMap()
			if err != nil {
				return err
			}
			for rid := range cm.Rules {
				if cm.Rules[rid] != nil && cm.RuleNames[int32(rid)] == val {
					p.CrushRule = uint8(rid)
					return nil
				}
			}
			return fail(ceph.ENOENT, "crush rule %s does not exist", val)
		}
		n, err := strconv.ParseUint(val, 10, 32)
		if err != nil {
			return fail(ceph.EINVAL, "error parsing integer value '%s'", val)
		}
		if strings.HasSuffix(v, "size") && p.Flags&osdmap.PoolNoSizeChange != 0 {
			return fail(ceph.EPERM, "the size of the pool is not to change: unset its nosizechange first")
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
		case "pg_num", "pgp_num":
			return fail(ceph.EOPNOTSUPP, "the number of PGs of a pool cannot be changed in this release")
		}
		return nil
	})
	c.text = fmt.Sprintf("set pool %d %s to %s", id, v, val)
	return err
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

func cmdPoolGet(c *call) error {
	id, err := c.pool(c.st.OSD, "pool")
	if err != nil {
		return err
	}
	p := c.st.OSD.Pools[id]
	v, _ := c.str("var")
	vars := []string{v}
	if v == "all" {
		vars = poolVars
	}
	out := map[string]any{"pool": c.st.OSD.PoolNames[id], "pool_id": id}
	var b strings.Builder
	for _, v := range vars {
		var x any
		switch v {
		case "size":
			x = p.Size
		case "min_size":
			x = p.MinSize
		case "pg_num":
			x = p.PGNum
		case "pgp_num":
			x = p.PGPNum
		case "crush_rule":
			cm, err := crush.Decode(c.st.OSD.Crush)
			if err != nil {
				return err
			}
			x = cm.RuleNames[int32(p.CrushRule)]
		case "pg_autoscale_mode":
			x = []string{"off", "warn", "on"}[min(p.Autoscale, 2)]
		default:
			x = p.Flags&poolFlags[v] != 0
		}
		out[v] = x
		fmt.Fprintf(&b, "%s: %v\n", v, x)
	}
	return c.print(out, b.String)
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
	show := func(n uint64, text string) string {
		if n == 0 {
			return "N/A"
		}
		return text
	}
	return c.print(map[string]any{"pool_name": c.st.OSD.PoolNames[id], "pool_id": id, "quota_max_objects": p.QuotaObjects, "quota_max_bytes": p.QuotaBytes}, func() string {
		return fmt.Sprintf("quotas for pool '%s':\n  max objects: %s\n  max bytes  : %s\n", c.st.OSD.PoolNames[id], show(p.QuotaObjects, fmt.Sprint(p.QuotaObjects, " objects")), show(p.QuotaBytes, bytesText(int64(p.QuotaBytes))))
	})
}

func (c *call) snap(make bool) error {
	name, _ := c.str("snap")
	pool, _ := c.str("pool")
	c.text = fmt.Sprintf("%s pool %s snap %s", word(make, "created", "removed"), pool, name)
	return c.change(func(ch *Change) error {
		id, err := c.pool(ch.State.OSD, "pool")
		if err != nil {
			return err
		}
		if make {
			return ch.makeSnap(id, name)
		}
		return ch.removeSnap(id, name)
	})
}

func cmdAppEnable(c *call) error {
	app, _ := c.str("app")
	name, _ := c.str("pool")
	c.text = fmt.Sprintf("enabled application '%s' on pool '%s'", app, name)
	return c.change(func(ch *Change) error {
		id, err := c.pool(ch.State.OSD, "pool")
		if err != nil {
			return err
		}
		old := ch.State.OSD.Pools[id].Applications
		if _, ok := old[app]; ok {
			return nil
		}
		if len(old) > 0 && !c.flag("yes_i_really_mean_it") {
			return fail(ceph.EPERM, "Are you SURE? Pool '%s' already has an enabled application; pass --yes-i-really-mean-it to proceed anyway", name)
		}
		p := ch.Pool(id)
		if p.Applications == nil {
			p.Applications = map[string]map[string]string{}
		}
		p.Applications[app] = map[string]string{}
		return nil
	})
}

func cmdAppDisable(c *call) error {
	app, _ := c.str("app")
	name, _ := c.str("pool")
	if !c.flag("yes_i_really_mean_it") {
		return fail(ceph.EPERM, "Are you SURE? Disabling an application within a pool might result in loss of application functionality; pass --yes-i-really-mean-it to proceed anyway")
	}
	c.text = fmt.Sprintf("disable application '%s' on pool '%s'", app, name)
	return c.change(func(ch *Change) error {
		id, err := c.pool(ch.State.OSD, "pool")
		if err != nil {
			return err
		}
		delete(ch.Pool(id).Applications, app)
		return nil
	})
}

func cmdAppGet(c *call) error {
	if _, ok := c.str("pool"); ok {
		id, err := c.pool(c.st.OSD, "pool")
		if err != nil {
			return err
		}
		return c.print(apps(c.st.OSD.Pools[id]), nil)
	}
	all := map[string]any{}
	for id, p := range c.st.OSD.Pools {
		all[c.st.OSD.PoolNames[id]] = apps(p)
	}
	return c.print(all, nil)
}

func apps(p *osdmap.Pool) map[string]map[string]string {
	if p.Applications == nil {
		return map[string]map[string]string{}
	}
	return p.Applications
}
