package mon

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "rw", "osd pool create pool:CephPoolname [pg_num:CephInt=0] [pgp_num:CephInt=0] [pool_type:CephChoices=replicated|erasure] [erasure_code_profile:CephString=[A-Za-z0-9-_.]] [rule:CephString] [size:CephInt=0|10] [autoscale_mode:CephChoices=on|off|warn]",
		"create pool", cmdPoolCreate)
	add("osd", "rw", "osd pool rm pool:CephPoolname [pool2:CephPoolname] [yes_i_really_really_mean_it:CephBool] [yes_i_really_really_mean_it_not_faking:CephBool]", "remove pool", cmdPoolRm)
	old("osd", "rw", "osd pool delete pool:CephPoolname [pool2:CephPoolname] [yes_i_really_really_mean_it:CephBool] [yes_i_really_really_mean_it_not_faking:CephBool]", "delete pool", cmdPoolRm)
	add("osd", "r", "osd pool ls [detail:CephChoices=detail]", "list pools", cmdPoolLs)
	old("osd", "r", "osd lspools", "list pools", cmdLsPools)
	add("osd", "rw", "osd pool rename srcpool:CephPoolname destpool:CephPoolname", "give a pool another name", cmdPoolRename)
	add("osd", "rw", "osd pool mksnap pool:CephPoolname snap:CephString", "make a snapshot of a pool", func(c *call) error { return c.snap(true) })
	add("osd", "rw", "osd pool rmsnap pool:CephPoolname snap:CephString", "remove a snapshot of a pool", func(c *call) error { return c.snap(false) })
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
	if kind == "erasure" {
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
		rule, ok := c.str("rule")
		if !ok { // the fifth word, of a pool that is not erasure-coded
			rule, _ = c.str("erasure_code_profile")
		}
		p, err := c.m.newPool(ch, name, rule, uint8(c.num("size", 0)), uint32(pgs), uint32(pgp))
		if err != nil {
			return err
		}
		mode, ok := c.str("autoscale_mode")
		if !ok {
			mode = c.m.cfg.Options.Text("osd_pool_default_pg_autoscale_mode")
		}
		p.Autoscale = uint8(slices.Index(autoscaleModes, mode))
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
	for pg := range ch.State.OSD.PGTemp {
		if pg.Pool == id {
			if ch.Inc().PGTemp == nil {
				ch.Inc().PGTemp = map[ceph.PG][]int32{}
			}
			ch.Inc().PGTemp[pg] = nil
		}
	}
	ch.Delete(creatingKey(id))
	return nil
}

func cmdPoolLs(c *call) error {
	names := []string{}
	for _, id := range sortedPools(c.st.OSD) {
		names = append(names, c.st.OSD.PoolNames[id])
	}
	if _, detail := c.str("detail"); detail {
		// Here the id of a pool has another name than in the map.
		type pool struct {
			ID ceph.PoolID `json:"pool_id"`
			osdmap.DumpPool
		}
		out := []any{}
		var b strings.Builder
		for _, id := range sortedPools(c.st.OSD) {
			p, err := renamed(pool{id, c.st.OSD.DumpPool(id)}, "pool")
			if err != nil {
				return err
			}
			out = append(out, p)
			b.WriteString(poolLine(c.st.OSD, id) + "\n")
		}
		b.WriteByte('\n')
		return c.print(out, b.String)
	}
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

// renamed returns v without a member.
func renamed(v any, without string) (json.RawMessage, error) {
	p, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var m map[string]json.RawMessage
	if err := json.Unmarshal(p, &m); err != nil {
		return nil, err
	}
	delete(m, without)
	return json.Marshal(m)
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
			if _, done := poolByName(ch.State.OSD, to); done { // asked twice
				c.text = fmt.Sprintf("pool '%s' does not exist; pool '%s' does -- assuming successful rename", from, to)
				return nil
			}
			return fail(ceph.ENOENT, "unrecognized pool '%s'", from)
		}
		if _, taken := poolByName(ch.State.OSD, to); taken {
			return fail(ceph.EEXIST, "pool '%s' already exists", to)
		}
		ch.Inc().PoolNames = map[ceph.PoolID]string{id: to}
		c.text = fmt.Sprintf("pool '%s' renamed to '%s'", from, to)
		return nil
	})
	return err
}

func (c *call) snap(make bool) error {
	name, _ := c.str("snap")
	pool, _ := c.str("pool")
	return c.change(func(ch *Change) error {
		id, err := c.pool(ch.State.OSD, "pool")
		if err != nil {
			return err
		}
		have := false
		for _, s := range ch.State.OSD.Pools[id].Snaps {
			have = have || s.Name == name
		}
		if have == make { // asked twice
			c.text = fmt.Sprintf("pool %s snap %s %s", pool, name, word(make, "already exists", "does not exist"))
			return nil
		}
		c.text = fmt.Sprintf("%s pool %s snap %s", word(make, "created", "removed"), pool, name)
		if make {
			return ch.makeSnap(id, name)
		}
		return ch.removeSnap(id, name)
	})
}
