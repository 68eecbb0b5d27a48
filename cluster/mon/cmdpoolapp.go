package mon

import (
	"fmt"
	"maps"

	"ebofs/cluster/ceph"
	"ebofs/cluster/osdmap"
)

func init() {
	add("osd", "rw", "osd pool application enable pool:CephPoolname app:CephString [yes_i_really_mean_it:CephBool]", "name the application of a pool: rbd, rgw, cephfs or your own", cmdAppEnable)
	add("osd", "rw", "osd pool application disable pool:CephPoolname app:CephString [yes_i_really_mean_it:CephBool]", "take an application's name from a pool", cmdAppDisable)
	add("osd", "rw", "osd pool application set pool:CephPoolname app:CephString key:CephString=[A-Za-z0-9-_.] value:CephString=[A-Za-z0-9-_.=]", "set a value of an application on a pool", cmdAppSet)
	add("osd", "rw", "osd pool application rm pool:CephPoolname app:CephString key:CephString", "remove a value of an application from a pool", cmdAppRm)
	add("osd", "r", "osd pool application get [pool:CephPoolname] [app:CephString] [key:CephString]", "show the applications of a pool and their values", cmdAppGet)
}

// maxAppText bounds keys and values of applications: maps carry them.
const maxAppText = 128

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

// theApp finds an application of a pool.
func (c *call) theApp(m *osdmap.Map) (ceph.PoolID, string, error) {
	id, err := c.pool(m, "pool")
	if err != nil {
		return id, "", err
	}
	app, _ := c.str("app")
	if _, ok := m.Pools[id].Applications[app]; !ok {
		return id, app, fail(ceph.ENOENT, "application '%s' is not enabled on pool '%s'", app, m.PoolNames[id])
	}
	return id, app, nil
}

func cmdAppSet(c *call) error {
	key, _ := c.str("key")
	value, _ := c.str("value")
	if key == "" || len(key) > maxAppText || len(value) > maxAppText {
		return fail(ceph.EINVAL, "key and value have at most %d bytes, and the key one at least", maxAppText)
	}
	return c.change(func(ch *Change) error {
		id, app, err := c.theApp(ch.State.OSD)
		if err != nil {
			return err
		}
		c.text = fmt.Sprintf("set application '%s' key '%s' to '%s' on pool '%s'", app, key, value, ch.State.OSD.PoolNames[id])
		ch.app(id, app)[key] = value
		return nil
	})
}

func cmdAppRm(c *call) error {
	key, _ := c.str("key")
	return c.change(func(ch *Change) error {
		id, app, err := c.theApp(ch.State.OSD)
		if err != nil {
			return err
		}
		if _, ok := ch.State.OSD.Pools[id].Applications[app][key]; !ok {
			c.text = fmt.Sprintf("application '%s' on pool '%s' does not have key '%s'", app, ch.State.OSD.PoolNames[id], key)
			return nil
		}
		c.text = fmt.Sprintf("removed application '%s' key '%s' on pool '%s'", app, key, ch.State.OSD.PoolNames[id])
		delete(ch.app(id, app), key)
		return nil
	})
}

// app returns the settings of an application, to be changed.
func (c *Change) app(id ceph.PoolID, app string) map[string]string {
	p := c.Pool(id)
	m := maps.Clone(p.Applications[app])
	if m == nil {
		m = map[string]string{}
	}
	p.Applications[app] = m
	return m
}

func cmdAppGet(c *call) error {
	if _, ok := c.str("pool"); !ok {
		all := map[string]any{}
		for id, p := range c.st.OSD.Pools {
			all[c.st.OSD.PoolNames[id]] = apps(p)
		}
		return c.print(all, nil)
	}
	if _, ok := c.str("app"); !ok {
		id, err := c.pool(c.st.OSD, "pool")
		if err != nil {
			return err
		}
		return c.print(apps(c.st.OSD.Pools[id]), nil)
	}
	id, app, err := c.theApp(c.st.OSD)
	if err != nil {
		return err
	}
	values := c.st.OSD.Pools[id].Applications[app]
	key, one := c.str("key")
	if !one {
		return c.print(values, nil)
	}
	v, ok := values[key]
	if !ok {
		return fail(ceph.ENOENT, "application '%s' on pool '%s' does not have key '%s'", app, c.st.OSD.PoolNames[id], key)
	}
	c.out = []byte(v + "\n") // whatever the format
	return nil
}

func apps(p *osdmap.Pool) map[string]map[string]string {
	if p.Applications == nil {
		return map[string]map[string]string{}
	}
	return p.Applications
}
