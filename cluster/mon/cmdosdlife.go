package mon

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/msg"
	"ebofs/cluster/osdmap"
)

func init() {
	old("osd", "rw", "osd rm ids:CephString…", "remove OSDs from the map", cmdOSDRm)
	add("osd", "rw", "osd destroy id:CephOsdName [force:CephBool] [yes_i_really_mean_it:CephBool]", "remove the key of an OSD and keep its id and place for another", cmdOSDDestroy)
	add("osd", "rw", "osd purge id:CephOsdName [force:CephBool] [yes_i_really_mean_it:CephBool]", "remove an OSD, its key and its place", func(c *call) error { return c.purge(true) })
	add("osd", "rw", "osd purge-new id:CephOsdName [yes_i_really_mean_it:CephBool]", "remove an OSD that has never been up", cmdPurgeNew)
	add("osd", "rw", "osd lost id:CephOsdName [yes_i_really_mean_it:CephBool]", "say that an OSD will not come back, and its data neither", cmdOSDLost)
	add("osd", "r", "osd safe-to-destroy ids:CephString…", "say whether anything is needed that OSDs have", cmdSafeToDestroy)
	add("osd", "r", "osd ok-to-stop ids:CephString… [max:CephInt=1]", "say whether all PGs go on without these OSDs", cmdOKToStop)
}

// remove takes an OSD out of the map.
func (ch *Change) remove(osd int32) error {
	m := ch.State.OSD
	if m.IsUp(osd) {
		return fail(ceph.EBUSY, "osd.%d is still up; must be down before removal. ", osd)
	}
	ch.turn(osd, m.States[osd])
	inc := ch.Inc()
	if inc.UUIDs == nil {
		inc.UUIDs = map[int32]ceph.UUID{}
	}
	inc.UUIDs[osd] = ceph.UUID{}
	ch.weigh(osd, 0)
	ch.Delete(osdKey(osd))
	return nil
}

func cmdOSDRm(c *call) error {
	return c.each(func(ch *Change, osd int32) (string, error) {
		return fmt.Sprintf("removed osd.%d", osd), ch.remove(osd)
	})
}

// sure reports whether the caller has said that they mean it.
func (c *call) sure() bool { return c.flag("force") || c.flag("yes_i_really_mean_it") }

func cmdOSDDestroy(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	if !c.st.OSD.Exists(id) {
		c.text = fmt.Sprintf("osd.%d does not exist", id)
		return nil
	}
	if err := c.mayGo(id); err != nil {
		return err
	}
	err = c.change(func(ch *Change) error {
		m := ch.State.OSD
		switch {
		case !m.Exists(id) || m.States[id]&osdmap.Destroyed != 0:
			return nil
		case m.IsUp(id):
			return fail(ceph.EBUSY, "osd.%d is still up; must be down before it is destroyed", id)
		}
		ch.turn(id, osdmap.Destroyed)
		ch.Inc().UUIDs = map[int32]ceph.UUID{id: {}}
		ch.Delete(prefixAuth + fmt.Sprintf("osd.%d", id))
		return nil
	})
	c.text = fmt.Sprintf("destroyed osd.%d", id)
	return err
}

// mayGo refuses to do away with an OSD whose data may be needed, unless that is
// meant.
func (c *call) mayGo(id int32) error {
	if c.sure() {
		return nil
	}
	v := c.destroyable([]int32{id})
	err := v.err()
	var e errText
	if errors.As(err, &e) {
		return fail(e.Errno, "%s You can proceed by passing --force, but be warned that this will likely mean real, permanent data loss.", e.text)
	}
	return err
}

// purge removes an OSD, its key and its place.
func (c *call) purge(ask bool) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	if !c.st.OSD.Exists(id) {
		c.text = fmt.Sprintf("osd.%d does not exist", id)
		return nil
	}
	if ask {
		if err := c.mayGo(id); err != nil {
			return err
		}
	}
	err = c.change(func(ch *Change) error {
		if !ch.State.OSD.Exists(id) {
			return nil
		}
		if err := ch.remove(id); err != nil {
			return err
		}
		ch.Delete(prefixAuth + fmt.Sprintf("osd.%d", id))
		return ch.Crush(func(e *crush.Editor) error { return ignoreMissing(e.Remove(fmt.Sprintf("osd.%d", id))) })
	})
	c.text = fmt.Sprintf("purged osd.%d", id)
	return err
}

func cmdPurgeNew(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	if c.st.OSD.Exists(id) && c.st.OSD.States[id]&osdmap.New == 0 {
		return fail(ceph.EINVAL, "osd.%d is not new: use osd purge", id)
	}
	return c.purge(false)
}

func cmdOSDLost(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	switch {
	case err != nil:
		return err
	case !c.flag("yes_i_really_mean_it"):
		return fail(ceph.EPERM, "are you SURE?  this might mean real, permanent data loss.  pass --yes-i-really-mean-it if you really do.")
	case !c.st.OSD.Exists(id):
		return fail(ceph.ENOENT, "osd.%d is not down or doesn't exist", id)
	}
	err = c.change(func(ch *Change) error {
		m := ch.State.OSD
		if !m.Exists(id) || m.IsUp(id) {
			return fail(ceph.EBUSY, "osd.%d is not down or doesn't exist", id)
		}
		e := m.Infos[id].DownAt
		ch.Inc().Lost = map[int32]ceph.Epoch{id: e}
		c.text = fmt.Sprintf("marked osd lost in epoch %d", e)
		return nil
	})
	return err
}

// numbers reads the argument ids, of OSDs that exist if they must.
func (c *call) numbers(exist bool) (ids []int32, err error) {
	for _, s := range c.strs("ids") {
		id, err := osdID(s)
		if err != nil {
			return nil, err
		}
		if exist && !c.st.OSD.Exists(id) {
			return nil, fail(ceph.ENOENT, "osd.%d does not exist", id)
		}
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, fail(ceph.EINVAL, "must specify one or more OSDs")
	}
	return ids, nil
}

// verdict says of OSDs whether they can be done away with.
type verdict struct {
	Safe    []int32 `json:"safe_to_destroy"`
	Active  []int32 `json:"active"`        // PGs are on it
	Missing []int32 `json:"missing_stats"` // it has not reported
	Stored  []int32 `json:"stored_pgs"`    // it says that it still has PGs
	pgs     int     // on those that are active
	unknown int     // PGs
}

// destroyable looks for PGs that OSDs have, or may have.
func (c *call) destroyable(ids []int32) verdict {
	sum := c.m.stats.summary(c.st.OSD)
	v := verdict{Safe: []int32{}, Active: []int32{}, Missing: []int32{}, Stored: []int32{}, unknown: sum.Unknown}
	clean := allClean(sum)
	for _, id := range ids {
		st, reported := sum.OSDs[id]
		n := 0
		for _, s := range sum.PGs {
			if slices.Contains(s.Acting, id) || slices.Contains(s.Up, id) {
				n++
			}
		}
		gone := !c.st.OSD.Exists(id) || c.st.OSD.States[id]&osdmap.New != 0 // or it has never been up
		switch {
		case n > 0:
			v.Active = append(v.Active, id)
			v.pgs += n
		case gone:
			v.Safe = append(v.Safe, id)
		case !reported && !clean:
			v.Missing = append(v.Missing, id)
		case st.PGs > 0 && !clean:
			v.Stored = append(v.Stored, id)
		default:
			v.Safe = append(v.Safe, id)
		}
	}
	if len(v.Safe) == len(ids) {
		v.unknown = 0
	}
	return v
}

func allClean(sum *summary) bool {
	for s := range sum.States {
		if s&msg.PGClean == 0 {
			return false
		}
	}
	return sum.Unknown == 0
}

// err is why not all can be destroyed.
func (v *verdict) err() error {
	switch {
	case v.unknown > 0:
		return fail(ceph.EAGAIN, "%d pgs have unknown state; cannot draw any conclusions", v.unknown)
	case len(v.Active) > 0:
		return fail(ceph.EBUSY, "OSD(s) %s have %d pgs currently mapped to them.", osdSet(v.Active), v.pgs)
	case len(v.Missing) > 0:
		return fail(ceph.EAGAIN, "OSD(s) %s have no reported stats, and not all PGs are active+clean; we cannot draw any conclusions.", osdSet(v.Missing))
	case len(v.Stored) > 0:
		return fail(ceph.EBUSY, "OSD(s) %s last reported they still store some PG data, and not all PGs are active+clean; we cannot be sure they aren't still needed.", osdSet(v.Stored))
	}
	return nil
}

func cmdSafeToDestroy(c *call) error {
	ids, err := c.numbers(false)
	if err != nil {
		return err
	}
	v := c.destroyable(ids)
	if json := strings.HasPrefix(c.format, "json"); json && v.unknown == 0 {
		return c.print(v, nil) // the verdict is the answer
	}
	if err := v.err(); err != nil {
		return err
	}
	c.text = fmt.Sprintf("OSD(s) %s are safe to destroy without reducing data durability.", osdSet(ids))
	return nil
}

func osdSet(ids []int32) string { return strings.Trim(osds(ids), "[]") }

// cmdOKToStop tells which PGs would stop serving.
func cmdOKToStop(c *call) error {
	ids, err := c.numbers(false)
	if err != nil {
		return err
	}
	sum := c.m.stats.summary(c.st.OSD)
	j := struct {
		OK       bool     `json:"ok_to_stop"`
		OSDs     []int32  `json:"osds"`
		NumOK    int      `json:"num_ok_pgs"`
		NumNot   int      `json:"num_not_ok_pgs"`
		Unknown  []string `json:"unknown_pgs,omitempty"`
		Already  []string `json:"bad_already_inactive,omitempty"`
		Become   []string `json:"bad_become_inactive,omitempty"`
		Degraded []string `json:"ok_become_degraded,omitempty"`
	}{OSDs: ids}
	for id, pool := range c.st.OSD.Pools {
		for seed := range pool.PGNum {
			if _, ok := sum.PGs[ceph.PG{Pool: id, Seed: seed}]; !ok {
				j.Unknown = append(j.Unknown, ceph.PG{Pool: id, Seed: seed}.String())
			}
		}
	}
	for _, pg := range slices.SortedFunc(maps.Keys(sum.PGs), ceph.PG.Compare) {
		s := sum.PGs[pg]
		left := slices.DeleteFunc(slices.Clone(s.Acting), func(id int32) bool { return slices.Contains(ids, id) || id == crush.None })
		switch {
		case len(left) == len(s.Acting):
		case !active(s.State):
			j.Already = append(j.Already, pg.String())
			j.NumNot++
		case len(left) < int(c.st.OSD.Pools[pg.Pool].MinSize):
			j.Become = append(j.Become, pg.String())
			j.NumNot++
		default:
			j.Degraded = append(j.Degraded, pg.String())
			j.NumOK++
		}
	}
	j.OK = len(j.Unknown)+j.NumNot == 0
	if err := c.print(j, nil); err != nil {
		return err
	}
	switch {
	case len(j.Unknown) > 0:
		return fail(ceph.EAGAIN, "%d pgs have unknown state; cannot draw any conclusions", len(j.Unknown))
	case j.NumNot > 0:
		return fail(ceph.EBUSY, "unsafe to stop osd(s) at this time (%d PGs are or would become offline)", j.NumNot)
	}
	return nil
}
