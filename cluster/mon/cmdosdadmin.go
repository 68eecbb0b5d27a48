package mon

import (
	"fmt"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "rw", "osd setmaxosd newmax:CephInt=0", "set new maximum osd value", cmdSetMaxOSD)
	add("osd", "rw", "osd primary-affinity id:CephOsdName weight:CephFloat=0.0|1.0", "set how often an OSD becomes primary, 0 to 1", cmdAffinity)
	add("osd", "r", "osd get-require-min-compat-client", "show the oldest release whose clients must understand the maps", func(c *call) error {
		c.out = []byte(osdmap.ReleaseName(c.st.OSD.MinCompatClient) + "\n")
		return nil
	})
	add("osd", "rw", "osd set-require-min-compat-client version:CephString [yes_i_really_mean_it:CephBool]", "set the oldest release whose clients must understand the maps", cmdSetMinClient)
	add("osd", "rw", "osd pg-temp pgid:CephPgid [id:CephOsdName…]", "have other OSDs serve a PG for a while", cmdPGTemp)
	add("osd", "rw", "osd primary-temp pgid:CephPgid id:CephOsdName", "have another primary serve a PG for a while; -1: no more", cmdPrimaryTemp)
	add("osd", "rw", "osd pg-upmap pgid:CephPgid id:CephOsdName…", "place a PG on these OSDs", cmdUpmap)
	add("osd", "rw", "osd rm-pg-upmap pgid:CephPgid", "place a PG by its rule again", cmdRmUpmap)
	add("osd", "rw", "osd pg-upmap-items pgid:CephPgid id:CephOsdName…", "place copies of a PG on other OSDs, in pairs", cmdUpmapItems)
	add("osd", "rw", "osd rm-pg-upmap-items pgid:CephPgid", "place all copies of a PG by its rule again", cmdRmUpmapItems)
}

// maxOSDs bounds the ids of OSDs: maps have a row for each.
const maxOSDs = 10000

func cmdSetMaxOSD(c *call) error {
	n := int32(c.num("newmax", 0))
	if n > maxOSDs {
		return fail(ceph.ERANGE, "cannot set max_osd to %d which is > conf.mon_max_osd (%d)", n, maxOSDs)
	}
	c.text = fmt.Sprintf("set new max_osd = %d", n)
	return c.change(func(ch *Change) error {
		for id := n; id < ch.State.OSD.MaxOSD; id++ {
			if ch.State.OSD.Exists(id) {
				return fail(ceph.EBUSY, "cannot shrink max_osd to %d because osd.%d (and possibly others) still in use", n, id)
			}
		}
		if n != ch.State.OSD.MaxOSD {
			ch.Inc().MaxOSD = n
		}
		return nil
	})
}

func cmdAffinity(c *call) error {
	id, err := c.theOSD()
	if err != nil {
		return err
	}
	w := c.float("weight", 1)
	n := uint32(w * osdmap.DefaultAffinity)
	c.text = fmt.Sprintf("set osd.%d primary-affinity to %g (%d)", id, w, n)
	return c.change(func(ch *Change) error {
		if !ch.State.OSD.Exists(id) {
			return fail(ceph.ENOENT, "osd.%d does not exist", id)
		}
		ch.Inc().Affinity = map[int32]uint32{id: n}
		return nil
	})
}

func cmdSetMinClient(c *call) error {
	v, _ := c.str("version")
	for n := uint8(1); n < 32; n++ {
		if osdmap.ReleaseName(n) != v {
			continue
		}
		d, err := c.st.OSD.Dump()
		if err != nil {
			return err
		}
		if order(d.MinClient) > int(n) {
			return fail(ceph.EPERM, "osdmap current utilizes features that require %s; cannot set require_min_compat_client below that to %s", d.MinClient, v)
		}
		c.text = "set require_min_compat_client to " + v
		return c.change(func(ch *Change) error {
			ch.Inc().MinCompatClient = n
			return nil
		})
	}
	return fail(ceph.EINVAL, "version %s is not recognized", v)
}

// order is the number of a release by its name, 0 if it is none.
func order(name string) int {
	for n := uint8(1); n < 32; n++ {
		if osdmap.ReleaseName(n) == name {
			return int(n)
		}
	}
	return 0
}

// idList reads the argument id that comes several times.
func (c *call) idList() (ids []int32, err error) {
	for _, s := range c.strs("id") {
		id, err := osdID(s)
		if err != nil {
			return nil, err
		}
		if !c.st.OSD.Exists(id) {
			return nil, fail(ceph.ENOENT, "osd.%d does not exist", id)
		}
		ids = append(ids, id)
	}
	return ids, nil
}

// onPG makes a change for the PG that is named.
func (c *call) onPG(text string, f func(n *osdmap.Incremental, pg ceph.PG)) error {
	pg, err := c.pgid()
	if err != nil {
		return err
	}
	c.text = strings.Replace(text, "PG", pg.String(), 1)
	return c.change(func(ch *Change) error {
		if p := ch.State.OSD.Pools[pg.Pool]; p == nil || pg.Seed >= p.PGNum {
			return fail(ceph.ENOENT, "pg '%v' does not exist", pg)
		}
		f(ch.Inc(), pg)
		return nil
	})
}

func cmdPGTemp(c *call) error {
	ids, err := c.idList()
	if err != nil {
		return err
	}
	text := "set PG pg_temp mapping to " + osds(ids)
	if len(ids) == 0 {
		text = "done cleaning up pg_temp of PG"
	}
	return c.onPG(text, func(n *osdmap.Incremental, pg ceph.PG) { n.PGTemp = map[ceph.PG][]int32{pg: ids} })
}

func cmdPrimaryTemp(c *call) error {
	id := int32(-1)
	if s, _ := c.str("id"); s != "-1" {
		var err error
		if id, err = c.theOSD(); err != nil {
			return err
		}
	}
	return c.onPG(fmt.Sprintf("set PG primary_temp mapping to %d", id), func(n *osdmap.Incremental, pg ceph.PG) { n.PrimaryTemp = map[ceph.PG]int32{pg: id} })
}

func (c *call) mayUpmap() error {
	if c.st.OSD.MinCompatClient < 12 {
		return fail(ceph.EPERM, "min_compat_client %s < luminous, which is required for pg-upmap. Try 'ceph osd set-require-min-compat-client luminous' before using the new interface", osdmap.ReleaseName(c.st.OSD.MinCompatClient))
	}
	return nil
}

func cmdUpmap(c *call) error {
	if err := c.mayUpmap(); err != nil {
		return err
	}
	ids, err := c.idList()
	if err != nil {
		return err
	}
	pg, err := c.pgid()
	if err != nil {
		return err
	}
	seen := map[int32]bool{}
	for _, id := range ids {
		if seen[id] {
			return fail(ceph.EINVAL, "osd.%d already exists, osd list must not contain duplicates", id)
		}
		seen[id] = true
	}
	if size := int(c.st.OSD.Pools[pg.Pool].Size); len(ids) > size {
		return fail(ceph.EINVAL, "num of osds must not exceed pool's size of %d", size)
	}
	return c.onPG("set PG pg_upmap mapping to "+osds(ids), func(n *osdmap.Incremental, pg ceph.PG) { n.Upmap = map[ceph.PG][]int32{pg: ids} })
}

func cmdRmUpmap(c *call) error {
	return c.onPG("clear PG pg_upmap mapping", func(n *osdmap.Incremental, pg ceph.PG) { n.OldUpmap = []ceph.PG{pg} })
}

func cmdUpmapItems(c *call) error {
	if err := c.mayUpmap(); err != nil {
		return err
	}
	ids, err := c.idList()
	if err != nil {
		return err
	}
	if len(ids) == 0 || len(ids)%2 != 0 {
		return fail(ceph.EINVAL, "osds come in pairs, from and to; got %d", len(ids))
	}
	var items []osdmap.Remap
	var text []string
	for i := 0; i < len(ids); i += 2 {
		if ids[i] == ids[i+1] {
			return fail(ceph.EINVAL, "from osd.%d == to osd.%d", ids[i], ids[i+1])
		}
		items = append(items, osdmap.Remap{From: ids[i], To: ids[i+1]})
		text = append(text, fmt.Sprintf("%d->%d", ids[i], ids[i+1]))
	}
	return c.onPG("set PG pg_upmap_items mapping to ["+strings.Join(text, ",")+"]", func(n *osdmap.Incremental, pg ceph.PG) { n.UpmapItems = map[ceph.PG][]osdmap.Remap{pg: items} })
}

func cmdRmUpmapItems(c *call) error {
	return c.onPG("clear PG pg_upmap_items mapping", func(n *osdmap.Incremental, pg ceph.PG) { n.OldUpmapItems = []ceph.PG{pg} })
}
