package mon

import (
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

func init() {
	add("osd", "r", "osd crush class ls", "list the device classes", cmdClassLs)
	add("osd", "r", "osd crush class ls-osd class:CephString=[A-Za-z0-9-_]", "list the OSDs of a device class", cmdClassLsOSD)
	add("osd", "r", "osd crush get-device-class ids:CephString…", "show the device classes of OSDs", cmdGetClass)
	add("osd", "rw", "osd crush set-device-class class:CephString ids:CephString…", "give OSDs a device class", cmdSetClass)
	add("osd", "rw", "osd crush rm-device-class ids:CephString…", "take the device class of OSDs away", cmdRmClass)
}

func cmdClassLs(c *call) error {
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	names := []string{}
	for _, d := range p.dump.Devices {
		if d.Class != "" && !slices.Contains(names, d.Class) {
			names = append(names, d.Class)
		}
	}
	return c.print(names, nil)
}

func cmdClassLsOSD(c *call) error {
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	class, _ := c.str("class")
	ids := []int32{}
	var b strings.Builder
	for _, d := range p.dump.Devices {
		if d.Class == class {
			ids = append(ids, d.ID)
			fmt.Fprintln(&b, d.ID)
		}
	}
	return c.print(ids, b.String)
}

func cmdGetClass(c *call) error {
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	ids, err := c.numbers(true)
	if err != nil {
		return err
	}
	type row struct {
		OSD   int32  `json:"osd"`
		Class string `json:"device_class"`
	}
	out := []row{}
	var b strings.Builder
	for _, id := range ids {
		if p.parent[id] == nil {
			return fail(ceph.EINVAL, "osd.%d is not in the crush map", id)
		}
		out = append(out, row{id, p.class[id]})
		fmt.Fprintln(&b, p.class[id])
	}
	return c.print(out, b.String)
}

func cmdSetClass(c *call) error {
	class, _ := c.str("class")
	dump, err := c.st.crushDump()
	if err != nil {
		return err
	}
	has := map[int32]string{}
	for _, d := range dump.Devices {
		has[d.ID] = d.Class
	}
	var names []string
	for _, s := range c.strs("ids") {
		id, err := osdID(s)
		if err != nil {
			return err
		}
		switch old, placed := has[id]; {
		case !c.st.OSD.Exists(id):
			return fail(ceph.ENOENT, "osd.%d does not exist", id)
		case !placed || old == class:
			continue // an OSD says it before it has a place: it will say it again
		case old != "":
			return fail(ceph.EBUSY, "osd.%d has already bound to class '%s', can not reset class to '%s'; use 'ceph osd crush rm-device-class <id>' to remove old class first", id, old, class)
		}
		names = append(names, fmt.Sprintf("osd.%d", id))
	}
	c.text = fmt.Sprintf("set osd(s) %s to class '%s'", strings.Join(c.strs("ids"), ","), class)
	if len(names) == 0 {
		return nil
	}
	return c.edit(func(e *crush.Editor) error {
		for _, n := range names {
			if err := e.SetClass(n, class); err != nil {
				return err
			}
		}
		return nil
	})
}

func cmdRmClass(c *call) error {
	c.text = "done removing class of osd(s): " + strings.Join(c.strs("ids"), ",")
	return c.edit(func(e *crush.Editor) error {
		for _, s := range c.strs("ids") {
			id, err := osdID(s)
			if err != nil {
				return err
			}
			if err := e.SetClass(fmt.Sprintf("osd.%d", id), ""); err != nil {
				return err
			}
		}
		return nil
	})
}
