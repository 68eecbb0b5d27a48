package mon

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/crush"
)

func init() {
	add("osd", "r", "osd crush dump", "dump crush map", cmdCrushDump)
	add("osd", "rw", "osd crush add-bucket name:CephString=[A-Za-z0-9-_.] type:CephString [args:CephString…=[A-Za-z0-9-_.=]]", "make a bucket, at a place or in none", cmdAddBucket)
	add("osd", "rw", "osd crush move name:CephString=[A-Za-z0-9-_.] args:CephString…=[A-Za-z0-9-_.=]", "move a bucket or OSD to a place", cmdCrushMove)
	add("osd", "rw", "osd crush rm name:CephString=[A-Za-z0-9-_.] [ancestor:CephString=[A-Za-z0-9-_.]]", "remove a bucket or OSD from the CRUSH map", cmdCrushRm)
	old("osd", "rw", "osd crush remove name:CephString=[A-Za-z0-9-_.] [ancestor:CephString=[A-Za-z0-9-_.]]", "remove a bucket or OSD from the CRUSH map", cmdCrushRm)
	add("osd", "rw", "osd crush link name:CephString args:CephString…=[A-Za-z0-9-_.=]", "put a bucket at one more place", cmdCrushLink)
	add("osd", "rw", "osd crush unlink name:CephString=[A-Za-z0-9-_.] [ancestor:CephString=[A-Za-z0-9-_.]]", "take a bucket from all its places", cmdCrushUnlink)
	add("osd", "rw", "osd crush rename-bucket srcname:CephString=[A-Za-z0-9-_.] dstname:CephString=[A-Za-z0-9-_.]", "give a bucket another name", cmdRenameBucket)
	add("osd", "r", "osd crush ls node:CephString", "list what is in a bucket", cmdCrushLs)
	add("osd", "rw", "osd crush set id:CephOsdName weight:CephFloat=0.0 args:CephString…=[A-Za-z0-9-_.=]", "put an OSD at a place with a weight", cmdCrushSet)
	add("osd", "rw", "osd crush add id:CephOsdName weight:CephFloat=0.0 args:CephString…=[A-Za-z0-9-_.=]", "put an OSD at a place with a weight", cmdCrushSet)
	add("osd", "rw", "osd crush reweight-all", "sum the weights of buckets anew; they always are", cmdReweightAll)
	add("osd", "rw", "osd crush reweight-subtree name:CephString=[A-Za-z0-9-_.] weight:CephFloat=0.0", "give all OSDs below a bucket a weight", cmdReweightSubtree)
	add("osd", "rw", "osd crush reweight name:CephString=[A-Za-z0-9-_.] weight:CephFloat=0.0", "give an OSD a weight", cmdCrushReweight)
	add("osd", "rw", "osd crush create-or-move id:CephOsdName weight:CephFloat=0.0 args:CephString…=[A-Za-z0-9-_.=]", "put an OSD at a place unless it is there", cmdCreateOrMove)
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

// has reports whether the tree has an item of that name.
func (c *call) has(name string) bool {
	m, err := crush.Decode(c.st.OSD.Crush)
	return err == nil && hasItem(m, name)
}

func hasItem(m *crush.Map, name string) bool {
	for _, n := range m.Names {
		if n == name {
			return true
		}
	}
	return false
}

// place puts a device at a place, with that weight if it was nowhere or that is what
// is asked for. Whether it is there is looked up in the map that is edited: another
// command may have been quicker, this one's first sending even.
func (c *call) place(id int32, name string, w crush.Weight, reweight bool, at []crush.Place) error {
	return c.edit(func(e *crush.Editor) error {
		if !hasItem(e.Map(), name) {
			return e.AddDevice(id, name, w, at...)
		}
		if err := e.Move(name, at...); err != nil || !reweight {
			return err
		}
		return e.Reweight(name, w)
	})
}

// placeText writes a location as Ceph does.
func (c *call) placeText() string {
	args := slices.Sorted(slices.Values(c.strs("args")))
	return "{" + strings.Join(args, ",") + "}"
}

func cmdAddBucket(c *call) error {
	name, _ := c.str("name")
	typ, _ := c.str("type")
	at, err := c.places()
	if err != nil {
		return err
	}
	if c.has(name) {
		c.text = fmt.Sprintf("bucket '%s' already exists", name)
		return nil
	}
	c.text = fmt.Sprintf("added bucket %s type %s to crush map", name, typ)
	if len(at) > 0 {
		c.text = fmt.Sprintf("added bucket %s type %s to location %s", name, typ, c.placeText())
	}
	return c.edit(func(e *crush.Editor) error {
		if _, err := e.AddBucket(name, typ, crush.Straw2); err != nil || len(at) == 0 {
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
	c.text = fmt.Sprintf("moved item '%s' to location %s in crush map", name, c.placeText())
	return c.edit(func(e *crush.Editor) error { return e.Move(name, at...) })
}

func cmdCrushLink(c *call) error {
	name, _ := c.str("name")
	at, err := c.places()
	if err != nil {
		return err
	}
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	if id, ok := p.find(name); ok && len(at) > 0 {
		where := p.location(id)
		if slices.ContainsFunc(at, func(x crush.Place) bool { return where[x.Type] == x.Name }) {
			c.text = fmt.Sprintf("no need to move item id %d name '%s' to location %s in crush map", id, name, c.placeText())
			return nil
		}
	}
	c.text = fmt.Sprintf("linked item '%s' to location %s in crush map", name, c.placeText())
	return c.edit(func(e *crush.Editor) error { return e.Link(name, at...) })
}

// fromOne refuses what is offered for the whole tree only.
func (c *call) fromOne() error {
	if a, ok := c.str("ancestor"); ok {
		return fail(ceph.EOPNOTSUPP, "only below %s: not offered, leave the ancestor out to mean everywhere", a)
	}
	return nil
}

func cmdCrushUnlink(c *call) error {
	if err := c.fromOne(); err != nil {
		return err
	}
	name, _ := c.str("name")
	if !c.has(name) {
		c.text = fmt.Sprintf("device '%s' does not appear in the crush map", name)
		return nil
	}
	c.text = fmt.Sprintf("removed item '%s' from crush map", name)
	return c.edit(func(e *crush.Editor) error { return e.Unlink(name) })
}

func cmdCrushRm(c *call) error {
	if err := c.fromOne(); err != nil {
		return err
	}
	name, _ := c.str("name")
	if !c.has(name) {
		c.text = fmt.Sprintf("device '%s' does not appear in the crush map", name)
		return nil
	}
	c.text = fmt.Sprintf("removed item '%s' from crush map", name)
	return c.edit(func(e *crush.Editor) error { return ignoreMissing(e.Remove(name)) })
}

func cmdRenameBucket(c *call) error {
	from, _ := c.str("srcname")
	to, _ := c.str("dstname")
	if !c.has(from) && c.has(to) {
		c.text = fmt.Sprintf("already renamed to '%s'", to) // asked twice
		return nil
	}
	if !c.has(from) {
		return fail(ceph.ENOENT, "bucket '%s' does not exist", from)
	}
	c.text = fmt.Sprintf("renamed bucket %s into %s", from, to)
	return c.edit(func(e *crush.Editor) error { return e.Rename(from, to) })
}

func cmdCrushLs(c *call) error {
	p, err := newPlaces(c.st.OSD)
	if err != nil {
		return err
	}
	name, _ := c.str("node")
	id, ok := p.find(name)
	if !ok {
		return fail(ceph.ENOENT, "node '%s' does not exist", name)
	}
	names := []string{}
	if b := p.buckets[id]; b == nil {
		names = append(names, name)
	} else {
		for _, it := range b.Items {
			names = append(names, p.name(it.ID))
		}
	}
	return c.print(names, func() string { return strings.Join(append(names, ""), "\n") })
}

func cmdCrushReweight(c *call) error {
	name, _ := c.str("name")
	w, err := c.weight()
	if err != nil {
		return err
	}
	if !c.has(name) {
		return fail(ceph.ENOENT, "device '%s' does not appear in the crush map", name)
	}
	c.text = fmt.Sprintf("reweighted item name '%s' to %g in crush map", name, c.float("weight", 0))
	return c.edit(func(e *crush.Editor) error { return e.Reweight(name, w) })
}

func cmdReweightSubtree(c *call) error {
	name, _ := c.str("name")
	w, err := c.weight()
	if err != nil {
		return err
	}
	if !c.has(name) {
		return fail(ceph.ENOENT, "device '%s' does not appear in the crush map", name)
	}
	c.text = fmt.Sprintf("reweighted subtree name '%s' to %g in crush map", name, c.float("weight", 0))
	return c.edit(func(e *crush.Editor) error { return e.Reweight(name, w) })
}

// cmdReweightAll has nothing to do: every edit keeps the sums.
func cmdReweightAll(c *call) error {
	c.text = "reweighted crush hierarchy"
	return nil
}

// cmdCrushSet puts an OSD where it is said to be, with the weight that is given.
func cmdCrushSet(c *call) error {
	id, err := c.theOSD()
	if err != nil {
		return err
	}
	at, err := c.places()
	if err != nil {
		return err
	}
	w, err := c.weight()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("osd.%d", id)
	c.text = fmt.Sprintf("set item id %d name '%s' weight %g at location %s", id, name, c.float("weight", 0), c.placeText())
	return c.place(id, name, w, true, at)
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
				return c.place(id, name, w, false, at)
			}
		}
	}
	return c.place(id, name, w, true, at)
}
