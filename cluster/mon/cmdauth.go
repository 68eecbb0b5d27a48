package mon

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"

	"ebofs/cluster/ceph"
	"ebofs/cluster/cephx"
)

func init() {
	add("auth", "rx", "auth ls", "list entities, their keys and caps", cmdAuthLs)
	add("auth", "rx", "auth get entity:CephString", "show the keyring of an entity", cmdAuthGet)
	add("auth", "rx", "auth get-key entity:CephString", "show the key of an entity", cmdAuthKey)
	add("auth", "rx", "auth print-key entity:CephString", "show the key of an entity", cmdAuthKey)
	add("auth", "rwx", "auth add entity:CephString [caps:CephString…]", "make an entity with a new key and these caps", cmdAuthAdd)
	add("auth", "rwx", "auth get-or-create entity:CephString [caps:CephString…]", "show an entity, made with these caps if there is none", cmdAuthCreate)
	add("auth", "rwx", "auth get-or-create-key entity:CephString [caps:CephString…]", "show the key of an entity, made with these caps if there is none", cmdAuthCreateKey)
	add("auth", "rwx", "auth caps entity:CephString caps:CephString…", "give an entity these caps and no others", cmdAuthCaps)
	old("auth", "rx", "auth list", "list entities, their keys and caps", cmdAuthLs)
	add("auth", "rx", "auth export [entity:CephString]", "show the keyring of an entity, or of all", cmdAuthExport)
	add("auth", "rwx", "auth import", "take the entities of a keyring (-i FILE)", cmdAuthImport)
	add("auth", "rx", "auth print_key entity:CephString", "show the key of an entity", cmdAuthKey)
	add("auth", "rwx", "auth rm entity:CephString", "remove an entity", cmdAuthRm)
	old("auth", "rwx", "auth del entity:CephString", "remove an entity", cmdAuthRm)
}

// entity reads the argument of that name.
func (c *call) entity() (ceph.EntityName, error) {
	s, _ := c.str("entity")
	n, err := ceph.ParseEntityName(s)
	if err != nil {
		return n, fail(ceph.EINVAL, "bad entity name: %v", err)
	}
	return n, nil
}

// caps reads pairs of service and caps.
func (c *call) caps() (map[ceph.EntityType]string, error) {
	list := c.strs("caps")
	if len(list)%2 != 0 {
		return nil, fail(ceph.EINVAL, "caps come in pairs of service and capabilities")
	}
	out := map[ceph.EntityType]string{}
	for i := 0; i < len(list); i += 2 {
		t, ok := ceph.ParseEntityType(list[i])
		if !ok || t == ceph.TypeClient || t == ceph.TypeAuth {
			return nil, fail(ceph.EINVAL, "caps for %q: want mon, osd, mds or mgr", list[i])
		}
		out[t] = list[i+1]
	}
	if err := checkCaps(out); err != nil {
		return nil, fail(ceph.EINVAL, "%v", err)
	}
	return out, nil
}

type entityJSON struct {
	Entity string            `json:"entity"`
	Key    string            `json:"key"`
	Caps   map[string]string `json:"caps"`
}

func newEntityJSON(n ceph.EntityName, e cephx.Entity) entityJSON {
	j := entityJSON{n.String(), e.Key.Base64(), map[string]string{}}
	for t, caps := range e.Caps {
		j.Caps[t.String()] = caps
	}
	return j
}

// keyring writes an entity as a keyring file has it.
func (j entityJSON) keyring() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[%s]\n\tkey = %s\n", j.Entity, j.Key)
	for _, s := range slices.Sorted(maps.Keys(j.Caps)) {
		fmt.Fprintf(&b, "\tcaps %s = \"%s\"\n", s, j.Caps[s])
	}
	return b.String()
}

func cmdAuthLs(c *call) error {
	list := []entityJSON{}
	for _, n := range c.entities() {
		list = append(list, newEntityJSON(n, c.st.Entities[n]))
	}
	c.text = "installed auth entries:\n"
	return c.print(map[string]any{"auth_dump": list}, func() string {
		var b strings.Builder
		for _, j := range list {
			fmt.Fprintf(&b, "%s\n\tkey: %s\n", j.Entity, j.Key)
			for _, s := range slices.Sorted(maps.Keys(j.Caps)) {
				fmt.Fprintf(&b, "\tcaps: [%s] %s\n", s, j.Caps[s])
			}
		}
		return b.String()
	})
}

// find returns the entity that is named.
func (c *call) find() (ceph.EntityName, cephx.Entity, error) {
	n, err := c.entity()
	if err != nil {
		return n, cephx.Entity{}, err
	}
	e, ok := c.st.Entities[n]
	if !ok {
		return n, e, fail(ceph.ENOENT, "failed to find %v in keyring", n)
	}
	return n, e, nil
}

func cmdAuthGet(c *call) error {
	n, e, err := c.find()
	if err != nil {
		return err
	}
	c.text = fmt.Sprintf("exported keyring for %v", n)
	j := newEntityJSON(n, e)
	return c.print([]entityJSON{j}, j.keyring)
}

// entities returns every entity but the monitors' own, by name.
func (c *call) entities() (names []ceph.EntityName) {
	for _, n := range slices.SortedFunc(maps.Keys(c.st.Entities), ceph.EntityName.Compare) {
		if n.Type != ceph.TypeMon {
			names = append(names, n)
		}
	}
	return names
}

func cmdAuthExport(c *call) error {
	if _, one := c.str("entity"); one {
		n, e, err := c.find()
		if err != nil {
			return err
		}
		c.text = "export " + n.String()
		j := newEntityJSON(n, e)
		return c.print([]entityJSON{j}, j.keyring)
	}
	out := []entityJSON{}
	var b strings.Builder
	for _, n := range c.entities() {
		j := newEntityJSON(n, c.st.Entities[n])
		out = append(out, j)
		b.WriteString(j.keyring())
	}
	c.text = "exported master keyring"
	return c.print(out, b.String)
}

// cmdAuthImport takes the entities of a keyring: new ones, and those there are.
func cmdAuthImport(c *call) error {
	ring, err := cephx.ParseKeyring(string(c.input))
	switch {
	case err != nil:
		return fail(ceph.EINVAL, "bad keyring: %v", err)
	case len(ring) == 0:
		return fail(ceph.EINVAL, "auth import: no data supplied")
	}
	for n, e := range ring {
		if n.Type == ceph.TypeMon {
			return fail(ceph.EINVAL, "%v: the monitors' own key is not to be replaced here", n)
		}
		if err := checkCaps(e.Caps); err != nil {
			return fail(ceph.EINVAL, "%v: %v", n, err)
		}
	}
	c.text = "imported keyring"
	return c.change(func(ch *Change) error {
		for n, e := range ring {
			ch.Put(prefixAuth+n.String(), encodeEntity(e))
		}
		return nil
	})
}

// checkCaps refuses caps that grant nothing because nobody can read them.
func checkCaps(caps map[ceph.EntityType]string) error {
	if s, ok := caps[ceph.TypeMon]; ok {
		if _, err := cephx.ParseMonCaps(s); err != nil {
			return fmt.Errorf("mon capability parse failed, stopped at '%s': %w", s, err)
		}
	}
	if s, ok := caps[ceph.TypeOSD]; ok {
		if _, err := cephx.ParseOSDCaps(s); err != nil {
			return fmt.Errorf("osd capability parse failed, stopped at '%s': %w", s, err)
		}
	}
	return nil
}

func cmdAuthKey(c *call) error {
	_, e, err := c.find()
	if err != nil {
		return err
	}
	return c.print(map[string]string{"key": e.Key.Base64()}, e.Key.Base64)
}

// create makes an entity, or finds it if it has the same caps.
func (c *call) create(mustBeNew bool) (ceph.EntityName, cephx.Entity, error) {
	n, err := c.entity()
	if err != nil {
		return n, cephx.Entity{}, err
	}
	caps, err := c.caps()
	if err != nil {
		return n, cephx.Entity{}, err
	}
	key, err := cephx.NewKey(rand.Reader, c.m.cfg.Now())
	if err != nil {
		return n, cephx.Entity{}, err
	}
	var e cephx.Entity
	err = c.change(func(ch *Change) error {
		old, ok := ch.State.Entities[n]
		switch {
		case ok && (len(caps) == 0 && !mustBeNew || maps.Equal(old.Caps, caps)):
			e = old
			return nil
		case ok && mustBeNew:
			return fail(ceph.EINVAL, "entity %v exists but caps do not match", n)
		case ok:
			return fail(ceph.EINVAL, "key for %v exists but cap does not match", n)
		}
		e = cephx.Entity{Key: key, Caps: caps}
		ch.Put(prefixAuth+n.String(), encodeEntity(e))
		return nil
	})
	return n, e, err
}

func cmdAuthAdd(c *call) error {
	n, _, err := c.create(true)
	c.text = fmt.Sprintf("added key for %v", n)
	return err
}

func cmdAuthCreate(c *call) error {
	n, e, err := c.create(false)
	if err != nil {
		return err
	}
	j := newEntityJSON(n, e)
	return c.print([]entityJSON{j}, func() string { return fmt.Sprintf("[%s]\n\tkey = %s\n", j.Entity, j.Key) })
}

func cmdAuthCreateKey(c *call) error {
	_, e, err := c.create(false)
	if err != nil {
		return err
	}
	return c.print(map[string]string{"key": e.Key.Base64()}, e.Key.Base64)
}

func cmdAuthCaps(c *call) error {
	n, err := c.entity()
	if err != nil {
		return err
	}
	caps, err := c.caps()
	if err != nil {
		return err
	}
	c.text = fmt.Sprintf("updated caps for %v", n)
	return c.change(func(ch *Change) error {
		e, ok := ch.State.Entities[n]
		if !ok {
			return fail(ceph.ENOENT, "couldn't find entry %v", n)
		}
		e.Caps = caps
		ch.Put(prefixAuth+n.String(), encodeEntity(e))
		return nil
	})
}

func cmdAuthRm(c *call) error {
	n, err := c.entity()
	if err != nil {
		return err
	}
	return c.change(func(ch *Change) error {
		if _, ok := ch.State.Entities[n]; !ok {
			c.text = fmt.Sprintf("entity %v does not exist", n)
			return nil
		}
		c.text = "updated"
		ch.Delete(prefixAuth + n.String())
		return nil
	})
}
