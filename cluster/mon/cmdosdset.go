package mon

import (
	"crypto/rand"
	"fmt"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "rw", "osd new uuid:CephUUID [id:CephOsdName]", "make an OSD, or find the one of that uuid", cmdOSDNew)
	old("osd", "rw", "osd create [uuid:CephUUID] [id:CephOsdName]", "make an OSD, or find the one of that uuid", cmdOSDNew)
	add("osd", "rw", "osd down ids:CephString… [definitely_dead:CephBool]", "mark OSDs down", cmdOSDDown)
	add("osd", "rw", "osd out ids:CephString…", "mark OSDs out", func(c *call) error { return c.weigh(0, "out") })
	add("osd", "rw", "osd in ids:CephString…", "mark OSDs in", func(c *call) error { return c.weigh(crush.One, "in") })
	add("osd", "rw", "osd reweight id:CephOsdName weight:CephFloat=0.0|1.0", "set how much of an OSD is in, 0 to 1", cmdReweight)
}

// cmdOSDNew makes an OSD, or finds the one of that uuid.
func cmdOSDNew(c *call) error {
	var uuid ceph.UUID
	if s, ok := c.str("uuid"); ok {
		var err error
		if uuid, err = ceph.ParseUUID(s); err != nil {
			return fail(ceph.EINVAL, "%v", err)
		}
	} else if _, err := rand.Read(uuid[:]); err != nil {
		return err
	}
	want := int32(-1)
	if s, ok := c.str("id"); ok {
		var err error
		if want, err = osdID(s); err != nil {
			return err
		}
	}
	var id int32
	err := c.change(func(ch *Change) error {
		m := ch.State.OSD
		for osd := range m.MaxOSD {
			if m.Exists(osd) && m.UUIDs[osd] == uuid {
				if want >= 0 && want != osd {
					return fail(ceph.EEXIST, "uuid %v belongs to osd.%d", uuid, osd)
				}
				id = osd
				return nil
			}
		}
		if want >= 0 && m.Exists(want) && !m.UUIDs[want].IsZero() {
			return fail(ceph.EEXIST, "osd.%d has another uuid", want)
		}
		if id = want; id < 0 {
			for id = 0; id < m.MaxOSD && m.Exists(id); id++ {
			}
		}
		inc := ch.Inc()
		if id >= m.MaxOSD {
			inc.MaxOSD = id + 1
		}
		inc.States = map[int32]osdmap.State{id: (osdmap.Exists|osdmap.New)&^m.State(id) | m.State(id)&osdmap.Destroyed}
		inc.UUIDs = map[int32]ceph.UUID{id: uuid}
		return nil
	})
	if err != nil {
		return err
	}
	return c.print(map[string]any{"osdid": id}, func() string { return fmt.Sprintf("%d\n", id) })
}

// each calls f for the OSDs named that exist.
func (c *call) each(f func(ch *Change, osd int32) (string, error)) error {
	var said []string
	err := c.change(func(ch *Change) error {
		said = nil
		for _, s := range c.strs("ids") {
			id, err := osdID(s)
			if err != nil {
				return err
			}
			if !ch.State.OSD.Exists(id) {
				said = append(said, fmt.Sprintf("osd.%d does not exist.", id))
				continue
			}
			text, err := f(ch, id)
			if err != nil {
				return err
			}
			said = append(said, text)
		}
		return nil
	})
	c.text = strings.TrimSpace(strings.Join(said, " "))
	return err
}

func cmdOSDDown(c *call) error {
	return c.each(func(ch *Change, osd int32) (string, error) {
		if !ch.State.OSD.IsUp(osd) {
			return fmt.Sprintf("osd.%d is already down.", osd), nil
		}
		c.m.down(ch, osd, "an operator said so")
		return fmt.Sprintf("marked down osd.%d.", osd), nil
	})
}

func (c *call) weigh(w crush.Weight, what string) error {
	return c.each(func(ch *Change, osd int32) (string, error) {
		if (ch.State.OSD.Weights[osd] > 0) == (w > 0) {
			return fmt.Sprintf("osd.%d is already %s.", osd, what), nil
		}
		ch.weigh(osd, w)
		return fmt.Sprintf("marked %s osd.%d.", what, osd), nil
	})
}

func (ch *Change) weigh(osd int32, w crush.Weight) {
	inc := ch.Inc()
	if inc.Weights == nil {
		inc.Weights = map[int32]crush.Weight{}
	}
	inc.Weights[osd] = w
	if w > 0 {
		inc.LastIn = ch.Now
	}
}

func cmdReweight(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	w, err := c.weight()
	if err != nil {
		return err
	}
	err = c.change(func(ch *Change) error {
		if !ch.State.OSD.Exists(id) {
			return fail(ceph.ENOENT, "osd.%d does not exist", id)
		}
		ch.weigh(id, w)
		return nil
	})
	c.text = fmt.Sprintf("reweighted osd.%d to %g (%x)", id, c.float("weight", 0), w)
	return err
}
