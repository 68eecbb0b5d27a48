package mon

import (
	"errors"
	"fmt"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

func init() {
	add("osd", "r", "osd crush dump", "dump crush map", cmdCrushDump)
	add("osd", "r", "osd crush rule ls", "list crush rules", cmdRuleLs)
	add("osd", "r", "osd crush class ls", "list all crush device classes", cmdClassLs)
	add("osd", "rw", "osd crush rule create-replicated name:CephString=[A-Za-z0-9-_.] root:CephString=[A-Za-z0-9-_.] type:CephString=[A-Za-z0-9-_.] [class:CephString=[A-Za-z0-9-_.]]",
		"create crush rule <name> for replicated pool", cmdRuleCreate)
	add("osd", "rw", "osd crush rule rm name:CephString=[A-Za-z0-9-_.]", "remove crush rule <name>", cmdRuleRm)
	add("osd", "rw", "osd crush add-bucket name:CephString=[A-Za-z0-9-_.] type:CephString [args:CephString…=[A-Za-z0-9-_.=]]", "add no-parent (probably root) crush bucket <name> of type <type> to location <args>", cmdAddBucket)
	add("osd", "rw", "osd crush move name:CephString=[A-Za-z0-9-_.] args:CephString…=[A-Za-z0-9-_.=]", "move existing entry for <name> to location <args>", cmdCrushMove)
	add("osd", "rw", "osd crush rm name:CephString=[A-Za-z0-9-_.]", "remove <name> from crush map", cmdCrushRm)
	add("osd", "rw", "osd crush reweight name:CephString=[A-Za-z0-9-_.] weight:CephFloat=0.0", "change <name>'s weight to <weight> in crush map", cmdCrushReweight)
	add("osd", "rw", "osd crush create-or-move id:CephOsdName weight:CephFloat=0.0 args:CephString…=[A-Za-z0-9-_.=]", "create entry or move existing entry for <name> <weight> at/to location <args>", cmdCreateOrMove)
	add("osd", "rw", "osd crush set-device-class class:CephString ids:CephString…", "set the <class> of the osd(s) <id> [<id>...]", cmdSetClass)
	add("osd", "rw", "osd crush rm-device-class ids:CephString…", "remove class of the osd(s) <id> [<id>...]", cmdRmClass)
}

// edit changes the CRUSH map and translates what it refuses.
func (c *call) edit(f func(*crush.Editor) error) error {
	err := c.change(func(ch *Change) error { return ch.Crush(f) })
	var e ceph.Errno
	switch {
	case err == nil || errors.As(err, &e):
		return err
	case errors.Is(err, crush.ErrNotFound):
		return fail(ceph.ENOENT, "%v", err)
	}
	return fail(ceph.EINVAL, "%v", err)
}

func ignoreMissing(err error) error {
	if errors.Is(err, crush.ErrNotFound) {
		return nil
	}
	return err
}

// places reads "host=a root=default".
func (c *call) places() ([]crush.Place, error) {
	var out []crush.Place
	for _, s := range c.strs("args") {
		typ, name, ok := strings.Cut(s, "=")
		if !ok || typ == "" || name == "" {
			return nil, fail(ceph.EINVAL, "location %q: want TYPE=NAME, as host=a", s)
		}
		out = append(out, crush.Place{Type: typ, Name: name})
	}
	return out, nil
}

// crushDump returns the CRUSH map in the shape of a dump.
func (s *State) crushDump() (*crush.Dump, error) {
	m, err := crush.Decode(s.OSD.Crush)
	if err != nil {
		return nil, err
	}
	return m.Dump()
}

func cmdCrushDump(c *call) error {
	d, err := c.st.crushDump()
	if err != nil {
		return err
	}
	return c.print(d, nil)
}

func cmdRuleLs(c *call) error {
	m, err := crush.Decode(c.st.OSD.Crush)
	if err != nil {
		return err
	}
	names := []string{}
	for id, r := range m.Rules {
		if r != nil {
			names = append(names, m.RuleNames[int32(id)])
		}
	}
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

func cmdClassLs(c *call) error {
	dump, err := c.st.crushDump()
	if err != nil {
		return err
	}
	seen := map[string]bool{}
	names := []string{}
	for _, d := range dump.Devices {
		if d.Class != "" && !seen[d.Class] {
			seen[d.Class] = true
			names = append(names, d.Class)
		}
	}
	return c.print(names, nil)
}

func cmdRuleCreate(c *call) error {
	name, _ := c.str("name")
	root, _ := c.str("root")
	typ, _ := c.str("type")
	class, _ := c.str("class")
	m, err := crush.Decode(c.st.OSD.Crush)
	if err != nil {
		return err
	}
	for id := range m.Rules {
		if m.Rules[id] != nil && m.RuleNames[int32(id)] == name {
			c.text = fmt.Sprintf("rule %s already exists", name)
			return nil
		}
	}
	return c.edit(func(e *crush.Editor) error {
		_, err := e.AddRule(crush.NewRule{Name: name, Root: root, Class: class, Domain: typ, Type: crush.Replicated})
		return err
	})
}

func cmdRuleRm(c *call) error {
	name, _ := c.str("name")
	return c.edit(func(e *crush.Editor) error { return ignoreMissing(e.RemoveRule(name)) })
}

func cmdAddBucket(c *call) error {
	name, _ := c.str("name")
	typ, _ := c.str("type")
	at, err := c.places()
	if err != nil {
		return err
	}
	c.text = fmt.Sprintf("added bucket %s type %s to crush map", name, typ)
	return c.edit(func(e *crush.Editor) error {
		if _, err := e.AddBucket(name, typ, crush.Straw2); err != nil {
			return err
		}
		return e.Link(name, at...)
	})
}

func cmdCrushMove(c *call) error {
	name, _ := c.str("name")
	at, err := c.places()
	if err != nil {
		return err
	}
	c.text = fmt.Sprintf("moved item '%s' to location %v in crush map", name, c.strs("args"))
	return c.edit(func(e *crush.Editor) error { return e.Move(name, at...) })
}

func cmdCrushRm(c *call) error {
	name, _ := c.str("name")
	c.text = fmt.Sprintf("removed item '%s' from crush map", name)
	return c.edit(func(e *crush.Editor) error { return ignoreMissing(e.Remove(name)) })
}

func cmdCrushReweight(c *call) error {
	name, _ := c.str("name")
	w, err := c.weight()
	if err != nil {
		return err
	}
	c.text = fmt.Sprintf("reweighted item '%s' to %g in crush map", name, c.float("weight", 0))
	return c.edit(func(e *crush.Editor) error { return e.Reweight(name, w) })
}

// cmdCreateOrMove is what an OSD says as it starts: where it is and how large.
func cmdCreateOrMove(c *call) error {
	s, _ := c.str("id")
	id, err := osdID(s)
	if err != nil {
		return err
	}
	if !c.st.OSD.Exists(id) {
		return fail(ceph.ENOENT, "osd.%d does not exist.  create it before updating the crush map", id)
	}
	at, err := c.places()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("osd.%d", id)
	w, err := c.weight()
	if err != nil {
		return err
	}
	c.text = fmt.Sprintf("create-or-move updating item name '%s' weight %g at location %v to crush map", name, c.float("weight", 0), c.strs("args"))
	dump, err := c.st.crushDump()
	if err != nil {
		return err
	}
	for _, b := range dump.Buckets {
		for _, it := range b.Items {
			if it.ID == id {
				for _, p := range at {
					if p.Type == b.TypeName && p.Name == b.Name {
						return nil // it is there
					}
				}
				return c.edit(func(e *crush.Editor) error { return e.Move(name, at...) })
			}
		}
	}
	return c.edit(func(e *crush.Editor) error { return e.AddDevice(id, name, w, at...) })
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
	c.text = fmt.Sprintf("set osd(s) %v to class '%s'", c.strs("ids"), class)
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
