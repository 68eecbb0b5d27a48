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
	add("auth", "rx", "auth ls", "list authentication state", cmdAuthLs)
	add("auth", "rx", "auth get entity:CephString", "write keyring file with requested key", cmdAuthGet)
	add("auth", "rx", "auth get-key entity:CephString", "display requested key", cmdAuthKey)
	add("auth", "rx", "auth print-key entity:CephString", "display requested key", cmdAuthKey)
	add("auth", "rwx", "auth add entity:CephString [caps:CephString…]", "add auth info for <entity> from input file, or random key if no input is given, and/or any caps specified in the command", cmdAuthAdd)
	add("auth", "rwx", "auth get-or-create entity:CephString [caps:CephString…]", "add auth info for <entity> from input file, or random key if no input given, and/or any caps specified in the command", cmdAuthCreate)
	add("auth", "rwx", "auth get-or-create-key entity:CephString [caps:CephString…]", "get, or add, key for <name> from system/caps pairs specified in the command", cmdAuthCreateKey)
	add("auth", "rwx", "auth caps entity:CephString caps:CephString…", "update caps for <name> from caps specified in the command", cmdAuthCaps)
	add("auth", "rwx", "auth rm entity:CephString", "remove all caps for <name>", cmdAuthRm)
	add("auth", "rwx", "auth del entity:CephString", "delete all caps for <name>", cmdAuthRm)
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
	for _, n := range slices.SortedFunc(maps.Keys(c.st.Entities), ceph.EntityName.Compare) {
		if n.Type != ceph.TypeMon {
			list = append(list, newEntityJSON(n, c.st.Entities[n]))
		}
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
